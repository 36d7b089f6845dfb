package io.github.lightning4j.moe.parallel;

/** How long a call takes, and how much of that it waits for other ranks. */
final class Clock {
  private final long start = System.nanoTime();
  private long waitStart;
  private long waited;

  void beginWait() {
    waitStart = System.nanoTime();
  }

  void endWait() {
    waited += System.nanoTime() - waitStart;
  }

  StepTimes stop(int rows) {
    return new StepTimes(System.nanoTime() - start, waited, rows);
  }
}
