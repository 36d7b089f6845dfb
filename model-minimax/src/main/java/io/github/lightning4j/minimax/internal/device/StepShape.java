package io.github.lightning4j.minimax.internal.device;

/**
 * How the rows of a pass belong to sequences. Those with one token come first, since they take
 * other kernels than stretches do; then stretches of {@link Piece.Kind#PROMPT}, then those of
 * {@link Piece.Kind#BEHIND}.
 *
 * @param singles sequences with one row, which are the first rows
 * @param prompts stretches of the first kind
 * @param promptRows their rows
 * @param drafted stretches of drafted tokens, which are the last of the second kind
 * @param draftedRows their rows
 * @param sequences all sequences
 * @param rows all rows
 * @param logitRows rows that have logits: the last one of each sequence, or all that are drafted
 */
record StepShape(
    int singles,
    int prompts,
    int promptRows,
    int drafted,
    int draftedRows,
    int sequences,
    int rows,
    int logitRows) {
  /** Sequences with more rows than one, or with one of a prompt. */
  int stretches() {
    return sequences - singles;
  }

  /** Their rows. */
  int stretchRows() {
    return rows - singles;
  }

  /** Stretches of the second kind. */
  int behind() {
    return sequences - singles - prompts;
  }
}
