package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;

/** The native library of this module, loaded on first use. */
public final class MoeLibrary {
  private static final NativeLibrary LIBRARY =
      NativeLibrary.load("moe", MoeKernels.class, MoeKernels::initialize);

  private MoeLibrary() {}

  /** The library, or why there is none. */
  public static NativeLibrary get() {
    return LIBRARY;
  }
}
