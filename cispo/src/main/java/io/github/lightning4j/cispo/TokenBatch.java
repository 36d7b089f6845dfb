package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkState;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The sampled tokens of B sequences, with what the policies think of them. Row i of each table is
 * sequence i and may have any length, the same in all tables. Log-probabilities are natural
 * logarithms, taken at the temperature that was sampled with.
 *
 * <p>What stands in a table where a token does not count is never read, and may be NaN.
 *
 * <p>Arrays are copied, on the way in and by the accessors; two batches are equal only if they are
 * the same.
 *
 * @param logProbs {@code [B][T_i]}: of the policy that learns
 * @param oldLogProbs {@code [B][T_i]}: of the policy that sampled
 * @param advantages {@code [B]}: how much better than expected a sequence was
 * @param mask {@code [B][T_i]}: which tokens count, such as those of the response but not of the
 *     prompt, of tools, or padding
 * @param referenceLogProbs {@code [B][T_i]}: of the policy that a KL penalty pulls to; null for
 *     none
 */
public record TokenBatch(
    double[][] logProbs,
    double[][] oldLogProbs,
    double[] advantages,
    boolean[][] mask,
    double @Nullable [][] referenceLogProbs) {

  /** Beyond this {@code exp} of a difference of log-probabilities leaves the range of doubles. */
  private static final double MAX_LOG_RATIO = 700;

  /**
   * Copies and checks the tables.
   *
   * @throws IllegalArgumentException if lengths differ, no token counts, an advantage is not
   *     finite, or a token that counts has a log-probability that is not finite or that is more
   *     than 700 away from another policy's; the message names the argument, sequence and position
   */
  public TokenBatch {
    logProbs = copy(logProbs);
    oldLogProbs = copy(oldLogProbs);
    advantages = advantages.clone();
    mask = Arrays.stream(mask).map(boolean[]::clone).toArray(boolean[][]::new);
    referenceLogProbs = referenceLogProbs == null ? null : copy(referenceLogProbs);
    BatchChecks checks = new BatchChecks(logProbs, mask);
    checks.advantages(advantages);
    checks.logProbs();
    checks.logProbsNear("oldLogProbs", oldLogProbs, MAX_LOG_RATIO);
    if (referenceLogProbs != null) {
      checks.logProbsNear("referenceLogProbs", referenceLogProbs, MAX_LOG_RATIO);
    }
  }

  /** Sequences of their own lengths, all of whose tokens count. */
  public static TokenBatch ragged(
      double[][] logProbs, double[][] oldLogProbs, double[] advantages) {
    boolean[][] mask = new boolean[logProbs.length][];
    for (int i = 0; i < mask.length; i++) {
      mask[i] = new boolean[logProbs[i].length];
      Arrays.fill(mask[i], true);
    }
    return masked(logProbs, oldLogProbs, advantages, mask);
  }

  /** Sequences of which only the tokens under {@code true} count. */
  public static TokenBatch masked(
      double[][] logProbs, double[][] oldLogProbs, double[] advantages, boolean[][] mask) {
    return new TokenBatch(logProbs, oldLogProbs, advantages, mask, null);
  }

  /** The same with reference log-probabilities, which a KL penalty needs. */
  public TokenBatch withReference(double[][] newReferenceLogProbs) {
    return new TokenBatch(logProbs, oldLogProbs, advantages, mask, newReferenceLogProbs);
  }

  @Override
  public double[][] logProbs() {
    return copy(logProbs);
  }

  @Override
  public double[][] oldLogProbs() {
    return copy(oldLogProbs);
  }

  @Override
  public double[] advantages() {
    return advantages.clone();
  }

  @Override
  public boolean[][] mask() {
    return Arrays.stream(mask).map(boolean[]::clone).toArray(boolean[][]::new);
  }

  @Override
  public double @Nullable [][] referenceLogProbs() {
    return referenceLogProbs == null ? null : copy(referenceLogProbs);
  }

  /** B. */
  public int sequences() {
    return logProbs.length;
  }

  /** How many tokens a sequence has, whether they count or not. */
  public int length(int sequence) {
    return logProbs[sequence].length;
  }

  /** How many tokens of a sequence count. */
  public int tokens(int sequence) {
    int tokens = 0;
    for (boolean counts : mask[sequence]) {
      tokens += counts ? 1 : 0;
    }
    return tokens;
  }

  /** How many tokens count in all. */
  public long tokens() {
    long tokens = 0;
    for (int i = 0; i < sequences(); i++) {
      tokens += tokens(i);
    }
    return tokens;
  }

  boolean hasReference() {
    return referenceLogProbs != null;
  }

  boolean counts(int sequence, int position) {
    return mask[sequence][position];
  }

  double advantage(int sequence) {
    return advantages[sequence];
  }

  double logProb(int sequence, int position) {
    return logProbs[sequence][position];
  }

  double logRatio(int sequence, int position) {
    return logProbs[sequence][position] - oldLogProbs[sequence][position];
  }

  double logReferenceRatio(int sequence, int position) {
    checkState(referenceLogProbs != null, "no reference log-probabilities");
    return referenceLogProbs[sequence][position] - logProbs[sequence][position];
  }

  private static double[][] copy(double[][] rows) {
    return Arrays.stream(rows).map(double[]::clone).toArray(double[][]::new);
  }
}
