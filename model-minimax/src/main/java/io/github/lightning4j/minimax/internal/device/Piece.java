package io.github.lightning4j.minimax.internal.device;

import org.jspecify.annotations.Nullable;

/**
 * The rows of one sequence in a pass.
 *
 * @param memory of the sequence
 * @param position of its first token
 * @param firstRow its first row in the pass
 * @param rows how many
 * @param drafts where all but the first may be wrong; null: they are certain
 */
record Piece(
    DeviceMemory memory, long position, int firstRow, int rows, @Nullable DeviceDrafts drafts) {
  /** How keys and values are read; pieces stand in this order in a pass. */
  enum Kind {
    /** One token, which attends to everything. */
    SINGLE,
    /** Tokens that attend to nothing that is quantized, by the kernel of prompts. */
    PROMPT,
    /**
     * Tokens that attend row by row, as single ones do, since some of what they see is quantized.
     */
    BEHIND
  }

  Kind kind() {
    return kind(memory, rows, drafts != null);
  }

  /** How tokens of a sequence are read; drafted ones as single ones would be. */
  static Kind kind(DeviceMemory memory, long rows, boolean drafted) {
    return drafted ? Kind.BEHIND : memory.kind(rows);
  }

  /** Whether its tokens are quantized before they attend, and not when a prompt ends. */
  boolean agesFirst() {
    return memory.agesFirst();
  }

  /**
   * How long the sequence was when what a row sees as quantized had left the window: of a token of
   * a prompt that is read exactly, when it began.
   */
  long agedLength(int row) {
    DevicePrompt prompt = memory.prompt();
    return prompt != null && prompt.exact() ? prompt.start() : position + row + 1;
  }
}
