package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity.Priority;
import io.github.lightning4j.moe.internal.ExpertIndex;
import io.github.lightning4j.moe.internal.PairRanking;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/**
 * Which tokens go to which expert: the token-expert pairs of a batch, sorted by expert; all of
 * them, or as many as a {@link Capacity} leaves.
 *
 * <p>Pair {@code t * k + j} is the j-th choice of token t. The sort is a counting sort and stable:
 * the pairs that expert e keeps stand, in ascending order, at the positions {@code [offset(e),
 * offset(e + 1))}; a dropped pair has position -1. Cost: two passes over the T k pairs, and with a
 * capacity one more and the sorting of the pairs of overfull experts.
 *
 * <p>A plan is built again and again; its arrays grow to the largest batch seen and then stay. Not
 * thread-safe.
 */
public final class DispatchPlan {
  /** Two longer than the number of experts: counting needs room before the prefix sums. */
  private int[] offsets = new int[2];

  private int[] chosen = new int[0];
  private int[] pairs = new int[0];
  private int[] positions = new int[0];
  private int[] demands = new int[0];
  private long[] keys = new long[0];
  private int experts;
  private int tokens;
  private int slots;

  /** A plan for no tokens. */
  public DispatchPlan() {}

  /**
   * Sorts the pairs of a batch.
   *
   * @param index {@code [T, k]} I32, the experts chosen for each token
   * @param experts how many there are, {@code >= k}
   * @throws IllegalArgumentException if type or shape do not fit or an entry is outside {@code [0,
   *     experts)}; the plan is then empty
   */
  public void build(Tensor index, int experts) {
    checkArgument(experts >= 1, "experts: expected >= 1, got %s", experts);
    Checks.matrix("index", index, DType.I32);
    reserve(Math.toIntExact(index.elements()), experts);
    ExpertIndex.forEach(
        index,
        experts,
        (pair, expert) -> {
          chosen[pair] = expert;
          offsets[expert + 2]++;
        });
    sort((int) index.size(0), (int) index.size(1), experts);
  }

  /**
   * Sorts the pairs of a batch and drops what is over capacity. The weights of what is kept stay as
   * they are; a token may lose all of its choices.
   *
   * @param index as above
   * @param experts as above
   * @param capacity how many pairs of each expert are kept, and which
   * @param weight {@code [T, k]} F32, what ranks the pairs; usually the routing weights
   * @throws IllegalArgumentException as above, or if the weights do not fit or one is NaN; the plan
   *     is then empty
   */
  public void build(Tensor index, int experts, Capacity capacity, Tensor weight) {
    PairRanking ranking = rank(index, capacity.priority(), weight);
    build(index, experts);
    int limit = capacity.limit(tokens, slots, experts);
    if (limit < tokens) {
      drop(expert -> limit, ranking);
    }
  }

  /**
   * Sorts the pairs of a batch and keeps a given number of each expert: what a {@link
   * io.github.lightning4j.moe.balance.GlobalRouter} grants.
   *
   * @param index as above
   * @param limits the most pairs kept, one number {@code >= 0} for each expert
   * @param priority which are kept
   * @param weight as above
   * @throws IllegalArgumentException as above, or if a limit is negative; the plan is then empty
   */
  public void build(Tensor index, int[] limits, Priority priority, Tensor weight) {
    PairRanking ranking = rank(index, priority, weight);
    for (int e = 0; e < limits.length; e++) {
      checkArgument(limits[e] >= 0, "limits[%s]: expected >= 0, got %s", e, limits[e]);
    }
    build(index, limits.length);
    drop(expert -> limits[expert], ranking);
  }

  private PairRanking rank(Tensor index, Priority priority, Tensor weight) {
    reserve(0, 0);
    Checks.matrix("index", index, DType.I32);
    Checks.matrix("weight", weight, DType.F32);
    Checks.shape("weight", weight, index.shape());
    return new PairRanking(priority, weight, keys);
  }

  /**
   * Sends every token to expert 0 of one: the dispatch of a shared expert.
   *
   * @param tokens how many, {@code >= 0}
   */
  public void buildShared(int tokens) {
    checkArgument(tokens >= 0, "tokens: expected >= 0, got %s", tokens);
    reserve(tokens, 1);
    Arrays.fill(chosen, 0, tokens, 0);
    offsets[2] = tokens;
    sort(tokens, 1, 1);
  }

  /** Sends every token to the first experts: the sizes of a dispatch that is not known yet. */
  void buildFirst(int tokens, int slots, int experts) {
    reserve(Math.multiplyExact(tokens, slots), experts);
    for (int pair = 0; pair < tokens * slots; pair++) {
      chosen[pair] = pair % slots;
      offsets[pair % slots + 2]++;
    }
    sort(tokens, slots, experts);
  }

  private void reserve(int count, int newExperts) {
    experts = 0;
    tokens = 0;
    slots = 0;
    if (offsets.length < newExperts + 2) {
      offsets = new int[newExperts + 2];
      demands = new int[newExperts];
    }
    if (pairs.length < count) {
      chosen = new int[count];
      pairs = new int[count];
      positions = new int[count];
    }
    Arrays.fill(offsets, 0);
  }

  /** With counts in offsets[e + 2], finds every pair's place. */
  private void sort(int newTokens, int newSlots, int newExperts) {
    System.arraycopy(offsets, 2, demands, 0, newExperts);
    for (int e = 1; e < newExperts; e++) {
      offsets[e + 1] += offsets[e];
    }
    // offsets[e + 1] is now the first position of e, and is moved to one past the last.
    for (int pair = 0; pair < newTokens * newSlots; pair++) {
      int position = offsets[chosen[pair] + 1]++;
      positions[pair] = position;
      pairs[position] = pair;
    }
    experts = newExperts;
    tokens = newTokens;
    slots = newSlots;
  }

  /** Keeps the best pairs of each expert and closes the gaps. */
  private void drop(IntUnaryOperator limits, PairRanking ranking) {
    int kept = 0;
    int from = 0;
    for (int e = 0; e < experts; e++) {
      int to = offsets[e + 1];
      int limit = limits.applyAsInt(e);
      boolean all = to - from <= limit;
      long last = all || limit == 0 ? Long.MIN_VALUE : ranking.sorted(pairs, from, to)[limit - 1];
      for (int position = from; position < to; position++) {
        int pair = pairs[position];
        if (all || ranking.key(pair) <= last) {
          positions[pair] = kept;
          pairs[kept++] = pair;
        } else {
          positions[pair] = -1;
        }
      }
      from = to;
      offsets[e + 1] = kept;
    }
    keys = ranking.keys();
  }

  /** The number of experts. */
  public int experts() {
    return experts;
  }

  /** The number of tokens T. */
  public int tokens() {
    return tokens;
  }

  /** The choices a token has, k. */
  public int slots() {
    return slots;
  }

  /** The number of pairs, T k. */
  public int size() {
    return tokens * slots;
  }

  /** The number of pairs that were not dropped. */
  public int kept() {
    return offsets[experts];
  }

  /** The position of an expert's first pair; for {@code experts()} the number of pairs kept. */
  public int offset(int expert) {
    checkElementIndex(expert, experts + 1, "expert");
    return offsets[expert];
  }

  /** The tokens that chose an expert, dropped or not. */
  public int demand(int expert) {
    checkElementIndex(expert, experts, "expert");
    return demands[expert];
  }

  /** The tokens an expert gets. */
  public int count(int expert) {
    checkElementIndex(expert, experts, "expert");
    return offsets[expert + 1] - offsets[expert];
  }

  /** The pair {@code token * slots() + slot} that stands at a position. */
  public int pair(int position) {
    checkElementIndex(position, kept(), "position");
    return pairs[position];
  }

  /** The token of the pair that stands at a position. */
  public int token(int position) {
    return pair(position) / slots;
  }

  /** The expert of a pair. */
  public int expert(int pair) {
    checkElementIndex(pair, size(), "pair");
    return chosen[pair];
  }

  /** The position of a pair: the inverse of {@link #pair}; -1 if it was dropped. */
  public int position(int pair) {
    checkElementIndex(pair, size(), "pair");
    return positions[pair];
  }

  /** A copy of the {@code experts() + 1} offsets. */
  public int[] offsets() {
    return Arrays.copyOf(offsets, experts + 1);
  }

  /** How many tokens each expert gets, as a new array. */
  public int[] counts() {
    int[] counts = new int[experts];
    Arrays.setAll(counts, this::count);
    return counts;
  }

  /** The most tokens any expert gets. */
  public int largest() {
    int largest = 0;
    for (int e = 0; e < experts; e++) {
      largest = Math.max(largest, count(e));
    }
    return largest;
  }

  /** Writes the {@link #kept} pairs in order of position. */
  public void putPairs(IntBuffer to) {
    to.put(pairs, 0, kept());
  }

  /** Writes the positions of all {@link #size} pairs in order of pair, -1 for a dropped one. */
  public void putPositions(IntBuffer to) {
    to.put(positions, 0, size());
  }
}
