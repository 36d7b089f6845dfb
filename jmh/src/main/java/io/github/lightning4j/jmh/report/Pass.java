package io.github.lightning4j.jmh.report;

/** Which way through the operator a measured call goes. */
enum Pass {
  FORWARD("forward"),
  FORWARD_BACKWARD("forward-backward"),
  DECODE("decode");

  private final String label;

  Pass(String label) {
    this.label = label;
  }

  @Override
  public String toString() {
    return label;
  }
}
