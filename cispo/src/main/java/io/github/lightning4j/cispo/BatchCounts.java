package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.Collection;
import org.jspecify.annotations.Nullable;

/**
 * What averages divide by. Losses of micro-batches or of data-parallel ranks add up to the loss of
 * the whole if each is computed {@linkplain TokenBatch#within within} the sum of all their counts.
 *
 * @param tokens that count
 * @param sequences B
 * @param groupTokens how many tokens of each group count, by the group's number; empty without
 *     groups
 */
public record BatchCounts(long tokens, long sequences, long[] groupTokens) {
  /** Groups are numbered below this: {@code groupTokens} has an element for each number. */
  public static final int MAX_GROUPS = 1 << 20;

  /**
   * Copies the array.
   *
   * @throws IllegalArgumentException if a count is negative, or there are more than {@value
   *     #MAX_GROUPS} groups
   */
  public BatchCounts {
    groupTokens = groupTokens.clone();
    checkArgument(tokens >= 0, "tokens: expected >= 0, got %s", tokens);
    checkArgument(sequences >= 0, "sequences: expected >= 0, got %s", sequences);
    checkArgument(
        groupTokens.length <= MAX_GROUPS,
        "groupTokens: expected at most %s groups, got %s",
        MAX_GROUPS,
        groupTokens.length);
    for (int g = 0; g < groupTokens.length; g++) {
      checkArgument(
          groupTokens[g] >= 0, "groupTokens[%s]: expected >= 0, got %s", g, groupTokens[g]);
    }
  }

  /** The counts of a mask; where there are groups, of each. */
  static BatchCounts own(boolean[][] mask, int @Nullable [] groups) {
    int last = groups == null ? -1 : Arrays.stream(groups).max().orElse(-1);
    long[] groupTokens = new long[last + 1];
    long tokens = 0;
    for (int i = 0; i < mask.length; i++) {
      int n = count(mask[i]);
      tokens += n;
      if (groups != null) {
        groupTokens[groups[i]] += n;
      }
    }
    return new BatchCounts(tokens, mask.length, groupTokens);
  }

  static int count(boolean[] mask) {
    int tokens = 0;
    for (boolean counts : mask) {
      tokens += counts ? 1 : 0;
    }
    return tokens;
  }

  /** The counts of several parts together: what an all-reduce over ranks computes. */
  public static BatchCounts sum(Collection<BatchCounts> parts) {
    int groups = parts.stream().mapToInt(part -> part.groupTokens.length).max().orElse(0);
    long[] groupTokens = new long[groups];
    long tokens = 0;
    long sequences = 0;
    for (BatchCounts part : parts) {
      tokens += part.tokens;
      sequences += part.sequences;
      for (int g = 0; g < part.groupTokens.length; g++) {
        groupTokens[g] += part.groupTokens[g];
      }
    }
    return new BatchCounts(tokens, sequences, groupTokens);
  }

  @Override
  public long[] groupTokens() {
    return groupTokens.clone();
  }

  /** How many groups have a token that counts. */
  public long groups() {
    return Arrays.stream(groupTokens).filter(n -> n > 0).count();
  }

  long tokensOfGroup(int group) {
    return groupTokens[group];
  }

  void checkHolds(BatchCounts part) {
    checkArgument(
        tokens >= part.tokens && sequences >= part.sequences,
        "global: expected the counts of all parts, at least %s tokens of %s sequences, got %s of %s",
        part.tokens,
        part.sequences,
        tokens,
        sequences);
    for (int g = 0; g < part.groupTokens.length; g++) {
      long all = g < groupTokens.length ? groupTokens[g] : 0;
      checkArgument(
          all >= part.groupTokens[g],
          "global: expected at least %s tokens of group %s, got %s",
          part.groupTokens[g],
          g,
          all);
    }
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof BatchCounts that
        && tokens == that.tokens
        && sequences == that.sequences
        && Arrays.equals(groupTokens, that.groupTokens);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(new long[] {tokens, sequences, Arrays.hashCode(groupTokens)});
  }

  @Override
  public String toString() {
    return tokens
        + " tokens of "
        + sequences
        + " sequences, by group "
        + Arrays.toString(groupTokens);
  }
}
