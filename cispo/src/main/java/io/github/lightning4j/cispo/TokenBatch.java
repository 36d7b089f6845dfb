package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The sampled tokens of B sequences, with what the policies think of them. Row i of each table is
 * sequence i and may have any length, the same in all tables: no padding is needed.
 * Log-probabilities are natural logarithms, taken at the temperature that was sampled with.
 *
 * <p>What stands in a table where a token does not count is never read, and may be NaN.
 *
 * <p>Immutable: arrays are copied, on the way in and by the accessors. The {@code with...} methods
 * check what they are given as the factories do, and throw {@link IllegalArgumentException} that
 * names argument, sequence and position.
 */
public final class TokenBatch {
  private final double[][] logProbs;
  private final double[][] oldLogProbs;
  private final double[][] advantages;
  private final boolean[][] mask;
  private final TokenExtras extras;
  private final BatchCounts counts;

  private TokenBatch(
      double[][] logProbs,
      double[][] oldLogProbs,
      double[][] advantages,
      boolean[][] mask,
      TokenExtras extras) {
    this.logProbs = logProbs;
    this.oldLogProbs = oldLogProbs;
    this.advantages = advantages;
    this.mask = mask;
    this.extras = extras;
    this.counts =
        extras.global() == null ? BatchCounts.own(mask, extras.groups()) : extras.global();
  }

  /**
   * Sequences of their own lengths, all of whose tokens count.
   *
   * @param logProbs {@code [B][T_i]}: of the policy that learns
   * @param oldLogProbs {@code [B][T_i]}: of the policy that sampled
   * @param advantages {@code [B]}: how much better than expected a sequence was
   * @throws IllegalArgumentException as {@link #masked}
   */
  public static TokenBatch ragged(
      double[][] logProbs, double[][] oldLogProbs, double[] advantages) {
    boolean[][] mask = new boolean[logProbs.length][];
    for (int i = 0; i < mask.length; i++) {
      mask[i] = new boolean[logProbs[i].length];
      Arrays.fill(mask[i], true);
    }
    return masked(logProbs, oldLogProbs, advantages, mask);
  }

  /**
   * Sequences of which only the tokens under {@code true} count, such as those of the response but
   * not of the prompt, of tools, or padding.
   *
   * <p>There may be none that counts, or no sequence at all: a rank with nothing to learn from
   * still has its counts to give.
   *
   * @throws IllegalArgumentException if lengths differ, an advantage is not finite, or a token that
   *     counts has a log-probability that is not; the message names the argument, sequence and
   *     position
   */
  public static TokenBatch masked(
      double[][] logProbs, double[][] oldLogProbs, double[] advantages, boolean[][] mask) {
    double[][] current = copy(logProbs);
    boolean[][] counting = copy(mask);
    double[][] old = copy(oldLogProbs);
    BatchChecks checks = new BatchChecks(current, counting);
    checks.sequences("advantages", advantages);
    checks.table("logProbs", current, "log-probability");
    checks.table("oldLogProbs", old, "log-probability");
    double[][] rows = new double[current.length][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = new double[] {advantages[i]};
    }
    return new TokenBatch(current, old, rows, counting, TokenExtras.NONE);
  }

  private BatchChecks checks() {
    return new BatchChecks(logProbs, mask);
  }

  private TokenBatch with(TokenExtras newExtras) {
    return new TokenBatch(logProbs, oldLogProbs, advantages, mask, newExtras);
  }

  /** The same tokens as another policy sees them: the next update on the same rollout. */
  public TokenBatch withLogProbs(double[][] newLogProbs) {
    double[][] current = copy(newLogProbs);
    checks().table("logProbs", current, "log-probability");
    return new TokenBatch(current, oldLogProbs, advantages, mask, extras);
  }

  /** The same with an advantage for each token, {@code [B][T_i]}. */
  public TokenBatch withTokenAdvantages(double[][] newAdvantages) {
    double[][] rows = copy(newAdvantages);
    checks().table("advantages", rows, "number");
    return new TokenBatch(logProbs, oldLogProbs, rows, mask, extras);
  }

  /**
   * The same with the log-probabilities of the policy that a KL penalty pulls to, {@code [B][T_i]}.
   */
  public TokenBatch withReference(double[][] referenceLogProbs) {
    double[][] table = copy(referenceLogProbs);
    checks().table("referenceLogProbs", table, "log-probability");
    return with(extras.withReference(table));
  }

  /**
   * The same with a constant factor for the surrogate of each token, {@code [B][T_i]}, such as the
   * weights of an {@link io.github.lightning4j.cispo.recipe.ImportanceCorrection}. All {@code >=
   * 0}. The KL penalty has none.
   */
  public TokenBatch withImportance(double[][] weights) {
    double[][] table = copy(weights);
    checks().table("weights", table, "number");
    checks().notNegative("weights", table);
    return with(extras.withImportance(table));
  }

  /** The same with the entropy of each token's distribution, {@code [B][T_i]}, to be reported. */
  public TokenBatch withEntropies(double[][] entropies) {
    double[][] table = copy(entropies);
    checks().table("entropies", table, "number");
    return with(extras.withEntropies(table));
  }

  /**
   * The same with the group of each sequence, {@code [B]}: responses to one prompt have one number,
   * counted from 0 through all shards and micro-batches, below {@link BatchCounts#MAX_GROUPS}.
   *
   * @throws IllegalStateException after {@link #within}
   */
  public TokenBatch withGroups(int[] groups) {
    checkOwnCounts("withGroups");
    checks().groups(groups);
    return with(extras.withGroups(groups.clone()));
  }

  /**
   * The same without the tokens of sequences that were cut off, {@code [B]}. The sequences still
   * are of the B. It may be that no token is left.
   *
   * @throws IllegalStateException after {@link #within}
   */
  public TokenBatch withoutTruncated(boolean[] truncated) {
    checkOwnCounts("withoutTruncated");
    checkArgument(
        truncated.length == sequences(),
        "truncated: expected %s, one a sequence, got %s",
        sequences(),
        truncated.length);
    boolean[][] left = copy(mask);
    for (int i = 0; i < left.length; i++) {
      if (truncated[i]) {
        Arrays.fill(left[i], false);
      }
    }
    return new TokenBatch(logProbs, oldLogProbs, advantages, left, extras);
  }

  private void checkOwnCounts(String call) {
    checkState(
        extras.global() == null,
        "%s: expected before within, since it changes the counts that the global ones are the sum"
            + " of",
        call);
  }

  /**
   * The same as a part of a larger batch: a micro-batch, or the shard of a data-parallel rank. Its
   * losses and gradients are then parts whose sum is that of the whole.
   *
   * @param global the sum of the counts of all parts, this one included
   * @throws IllegalArgumentException if this part has more than the whole
   */
  public TokenBatch within(BatchCounts global) {
    global.checkHolds(BatchCounts.own(mask, extras.groups()));
    return with(extras.within(global));
  }

  /** The counts that losses average over: this batch's own, or those it is {@link #within}. */
  public BatchCounts counts() {
    return counts;
  }

  /** A copy of the log-probabilities of the policy that learns. */
  public double[][] logProbs() {
    return copy(logProbs);
  }

  /** A copy of the log-probabilities of the policy that sampled. */
  public double[][] oldLogProbs() {
    return copy(oldLogProbs);
  }

  /** A copy of the mask. */
  public boolean[][] mask() {
    return copy(mask);
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
    return BatchCounts.count(mask[sequence]);
  }

  boolean hasReference() {
    return extras.reference() != null;
  }

  boolean hasImportance() {
    return extras.importance() != null;
  }

  boolean hasEntropies() {
    return extras.entropies() != null;
  }

  boolean hasGroups() {
    return extras.groups() != null;
  }

  boolean counts(int sequence, int position) {
    return mask[sequence][position];
  }

  double advantage(int sequence, int position) {
    double[] row = advantages[sequence];
    return row[row.length == 1 ? 0 : position];
  }

  double logProb(int sequence, int position) {
    return logProbs[sequence][position];
  }

  double logRatio(int sequence, int position) {
    return logProbs[sequence][position] - oldLogProbs[sequence][position];
  }

  /** Only if {@link #hasReference}. */
  double logReferenceRatio(int sequence, int position) {
    return at(extras.reference(), sequence, position) - logProbs[sequence][position];
  }

  /** Only if {@link #hasReference}. */
  double reference(int sequence, int position) {
    return at(extras.reference(), sequence, position);
  }

  double oldLogProb(int sequence, int position) {
    return oldLogProbs[sequence][position];
  }

  double importance(int sequence, int position) {
    return extras.importance() == null ? 1 : extras.importance()[sequence][position];
  }

  /** Only if {@link #hasEntropies}. */
  double entropy(int sequence, int position) {
    return at(extras.entropies(), sequence, position);
  }

  /** Its own number where there are no groups. */
  int group(int sequence) {
    return extras.groups() == null ? sequence : extras.groups()[sequence];
  }

  private static double at(double @Nullable [][] table, int sequence, int position) {
    return table == null ? Double.NaN : table[sequence][position];
  }

  private static double[][] copy(double[][] rows) {
    return Arrays.stream(rows).map(double[]::clone).toArray(double[][]::new);
  }

  private static boolean[][] copy(boolean[][] rows) {
    return Arrays.stream(rows).map(boolean[]::clone).toArray(boolean[][]::new);
  }
}
