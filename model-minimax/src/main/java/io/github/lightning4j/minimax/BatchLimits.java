package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How much is done together.
 *
 * @param sessions the most sequences that run at once; others wait for their turn
 * @param tokensPerStep the most tokens read in one step, at least one for each session: what is
 *     left behind the single tokens of sequences that are being written goes to prompts. Bounds
 *     scratch memory and how long a new prompt holds up the others
 */
public record BatchLimits(int sessions, int tokensPerStep) {
  /** 16 sessions and 512 tokens. */
  public static final BatchLimits DEFAULT = new BatchLimits(16, 512);

  /** Checks ranges. */
  public BatchLimits {
    checkArgument(sessions >= 1, "sessions: expected >= 1, got %s", sessions);
    checkArgument(
        tokensPerStep >= sessions,
        "tokensPerStep: expected >= %s, one for each session, got %s",
        sessions,
        tokensPerStep);
  }
}
