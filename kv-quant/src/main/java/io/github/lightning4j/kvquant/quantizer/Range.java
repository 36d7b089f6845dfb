package io.github.lightning4j.kvquant.quantizer;

/** Least and greatest value of a group. */
record Range(double min, double max) {
  double width() {
    return max - min;
  }

  static Range of(float[] x, int from, int to) {
    float min = x[from];
    float max = x[from];
    for (int i = from + 1; i < to; i++) {
      min = Math.min(min, x[i]);
      max = Math.max(max, x[i]);
    }
    return new Range(min, max);
  }
}
