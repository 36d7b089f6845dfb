package io.github.lightning4j.jmh.report;

/** Which way through the operator a measured call goes. */
enum Pass {
  FORWARD("forward"),
  FORWARD_BACKWARD("forward-backward"),
  /** One token a sequence, states in memory. */
  DECODE("decode"),
  /** One token a sequence, states in the caches. */
  CACHED_DECODE("decode in cache");

  private final String label;

  Pass(String label) {
    this.label = label;
  }

  @Override
  public String toString() {
    return label;
  }

  boolean isDecode() {
    return this == DECODE || this == CACHED_DECODE;
  }
}
