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
    /** Tokens of which some see others as quantized. */
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
   * How long the sequence was when what its tokens see as quantized had left the window: of a
   * prompt that is read exactly, when it began; else each sees what has left by then.
   */
  int agedLength() {
    DevicePrompt prompt = memory.prompt();
    return prompt != null && prompt.exact() ? Math.toIntExact(prompt.start()) : Integer.MAX_VALUE;
  }
}
