package io.github.lightning4j.jmh.report;

/** What was measured. */
enum Kernel {
  LIGHTNING("lightning", Algorithm.LINEAR),
  JAVA("lightning, Java loop", Algorithm.LINEAR),
  TORCH_LIGHTNING("lightning, PyTorch", Algorithm.LINEAR),
  SOFTMAX("softmax, oneDNN", Algorithm.QUADRATIC),
  TORCH_SOFTMAX("softmax, PyTorch", Algorithm.QUADRATIC);

  /** How operations grow with the number of tokens. */
  enum Algorithm {
    LINEAR,
    QUADRATIC
  }

  private final String label;
  private final Algorithm algorithm;

  Kernel(String label, Algorithm algorithm) {
    this.label = label;
    this.algorithm = algorithm;
  }

  Algorithm algorithm() {
    return algorithm;
  }

  @Override
  public String toString() {
    return label;
  }
}
