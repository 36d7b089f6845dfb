package io.github.lightning4j.minimax.internal.device;

/**
 * How the rows of a pass belong to sequences. Those with one token come first, since they take
 * other kernels than stretches do.
 *
 * @param singles sequences with one row, which are the first rows
 * @param sequences all sequences
 * @param rows all rows
 */
record StepShape(int singles, int sequences, int rows) {
  /** Sequences with more rows than one. */
  int stretches() {
    return sequences - singles;
  }

  /** Their rows. */
  int stretchRows() {
    return rows - singles;
  }
}
