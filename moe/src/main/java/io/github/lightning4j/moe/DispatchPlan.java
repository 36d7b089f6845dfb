package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertIndex;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Which tokens go to which expert: the token-expert pairs of a batch, sorted by expert, none
 * dropped.
 *
 * <p>Pair {@code t * k + j} is the j-th choice of token t. The sort is a counting sort and stable:
 * the pairs of expert e stand, in ascending order, at the positions {@code [offset(e), offset(e +
 * 1))}. Cost: two passes over the T k pairs.
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

  private void reserve(int count, int newExperts) {
    experts = 0;
    tokens = 0;
    slots = 0;
    if (offsets.length < newExperts + 2) {
      offsets = new int[newExperts + 2];
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

  /** The position of an expert's first pair; for {@code experts()} the number of pairs. */
  public int offset(int expert) {
    checkElementIndex(expert, experts + 1, "expert");
    return offsets[expert];
  }

  /** The tokens an expert gets. */
  public int count(int expert) {
    checkElementIndex(expert, experts, "expert");
    return offsets[expert + 1] - offsets[expert];
  }

  /** The pair {@code token * slots() + slot} that stands at a position. */
  public int pair(int position) {
    checkElementIndex(position, size(), "position");
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

  /** The position of a pair: the inverse of {@link #pair}. */
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

  /** Writes the pairs in order of position. */
  public void putPairs(IntBuffer to) {
    to.put(pairs, 0, size());
  }

  /** Writes the positions in order of pair. */
  public void putPositions(IntBuffer to) {
    to.put(positions, 0, size());
  }
}
