package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

/**
 * How a {@link Router} scores, chooses and weighs experts.
 *
 * <pre>
 *   MiniMax-01, Mixtral    topK(2)
 *   DeepSeek-V2            topK(6).withNormalized(false).withGroups(8, 3, 1).withScale(16)
 *   DeepSeek-V3            topK(8).withScore(SIGMOID).withGroups(8, 4, 2).withScale(2.5f), and a bias
 * </pre>
 *
 * <p>Group-limited choice: the E experts form {@code groups} runs of {@code E / groups}; a group's
 * score is the sum of its {@code groupBest} largest keys (1: its maximum); the {@code topGroups}
 * best groups are kept, of equals the lowest first, and the k experts are chosen among theirs.
 *
 * @param k experts a token is sent to, at least 1
 * @param score what a logit becomes
 * @param normalized whether the weights of the chosen are divided by their sum
 * @param scale what all weights are multiplied by (routed scaling factor), above 0
 * @param groups how many groups the experts form; 1 for none
 * @param topGroups how many groups are kept, {@code 1 <= topGroups <= groups}
 * @param groupBest how many experts of a group make its score
 */
public record RouterOptions(
    int k, Score score, boolean normalized, float scale, int groups, int topGroups, int groupBest) {

  /** What a logit l becomes. */
  public enum Score {
    /** {@code exp(l_i) / sum_j exp(l_j)} over all experts. */
    SOFTMAX,
    /**
     * The same over the chosen alone. Without a bias equal to a normalized {@link #SOFTMAX}; with
     * one, it is added to logits instead of probabilities.
     */
    SOFTMAX_OF_CHOSEN,
    /** {@code 1 / (1 + exp(-l_i))}. */
    SIGMOID
  }

  /**
   * Validates what does not depend on the number of experts.
   *
   * @throws IllegalArgumentException naming the option that does not fit
   */
  public RouterOptions {
    requireNonNull(score, "score");
    checkArgument(k >= 1, "k: expected at least 1, got %s", k);
    checkArgument(
        normalized || score != Score.SOFTMAX_OF_CHOSEN,
        "normalized: expected true, for the softmax of the chosen sums to 1; for weights that do"
            + " not, take the score SOFTMAX");
    checkArgument(
        scale > 0 && scale < Float.POSITIVE_INFINITY,
        "scale: expected a finite number above 0, got %s",
        scale);
    checkArgument(groups >= 1, "groups: expected at least 1, got %s", groups);
    checkArgument(
        topGroups >= 1 && topGroups <= groups,
        "topGroups: expected 1 <= topGroups <= %s groups, got %s",
        groups,
        topGroups);
    checkArgument(groupBest >= 1, "groupBest: expected at least 1, got %s", groupBest);
  }

  /** The k largest of a softmax, renormalised: MiniMax-01 with k = 2. */
  public static RouterOptions topK(int k) {
    return new RouterOptions(k, Score.SOFTMAX, true, 1, 1, 1, 1);
  }

  /** The same with another score. */
  public RouterOptions withScore(Score newScore) {
    return new RouterOptions(k, newScore, normalized, scale, groups, topGroups, groupBest);
  }

  /** The same with weights that sum to {@code scale}, or are left as the scores are. */
  public RouterOptions withNormalized(boolean newNormalized) {
    return new RouterOptions(k, score, newNormalized, scale, groups, topGroups, groupBest);
  }

  /** The same with another routed scaling factor. */
  public RouterOptions withScale(float newScale) {
    return new RouterOptions(k, score, normalized, newScale, groups, topGroups, groupBest);
  }

  /** The same with a group-limited choice. */
  public RouterOptions withGroups(int newGroups, int newTopGroups, int newGroupBest) {
    return new RouterOptions(k, score, normalized, scale, newGroups, newTopGroups, newGroupBest);
  }

  /** Whether some groups are left out. */
  public boolean limitsGroups() {
    return topGroups < groups;
  }

  /** Checks the options against a number of experts. */
  void check(long experts) {
    checkArgument(k <= experts, "k: expected 1 <= k <= %s, got %s", experts, k);
    checkArgument(
        experts % groups == 0, "groups: expected a divisor of %s experts, got %s", experts, groups);
    long size = experts / groups;
    checkArgument(
        groupBest <= size,
        "groupBest: expected at most the %s experts of a group, got %s",
        size,
        groupBest);
    checkArgument(
        topGroups * size >= k,
        "topGroups: expected enough for k = %s experts, got %s groups of %s",
        k,
        topGroups,
        size);
  }
}
