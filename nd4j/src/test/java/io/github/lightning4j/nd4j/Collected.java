package io.github.lightning4j.nd4j;

import java.lang.ref.Reference;

/** Waits for the garbage collector. */
final class Collected {
  private Collected() {}

  /** Whether nothing but this reference led to the object; gives up after two seconds. */
  static boolean afterSomeTime(Reference<?> reference) throws InterruptedException {
    for (int i = 0; i < 20 && !reference.refersTo(null); i++) {
      System.gc();
      Thread.sleep(100);
    }
    return reference.refersTo(null);
  }
}
