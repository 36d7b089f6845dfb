package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.MiniMaxConfig;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The experts of every layer that this process holds: all, or an even share of them.
 *
 * @param first the first of them
 * @param count how many, from that one on
 * @param all how many a layer has
 */
public record ExpertRange(int first, int count, int all) {
  private static final Pattern EXPERT = Pattern.compile("\\.experts\\.(\\d+)\\.");

  /** All experts of a model. */
  public static ExpertRange all(MiniMaxConfig config) {
    return of(config, 0, 1);
  }

  /**
   * The share of a rank; the first ranks have one more where experts do not divide evenly.
   *
   * @throws IllegalArgumentException if there are more ranks than experts
   */
  public static ExpertRange of(MiniMaxConfig config, int rank, int ranks) {
    int all = config.experts().experts();
    checkArgument(
        ranks >= 1 && ranks <= all,
        "ranks: expected 1 to %s, one for each expert of a layer at most, got %s",
        all,
        ranks);
    int each = all / ranks;
    int more = all % ranks;
    int first = rank * each + Math.min(rank, more);
    return new ExpertRange(first, each + (rank < more ? 1 : 0), all);
  }

  /** The end of the range. */
  public int end() {
    return first + count;
  }

  /** Whether a tensor, by a name of the released layout, is of an expert that is not here. */
  public boolean leavesOut(String name) {
    if (count == all) {
      return false;
    }
    Matcher expert = EXPERT.matcher(name);
    if (!expert.find()) {
      return false;
    }
    int index = Integer.parseInt(expert.group(1));
    return index < first || index >= end();
  }
}
