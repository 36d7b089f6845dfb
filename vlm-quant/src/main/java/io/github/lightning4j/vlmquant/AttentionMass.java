package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;

/**
 * How much of a layer's attention falls on each class of tokens, over any number of sequences.
 *
 * <pre>mass_c = mean over queries t and heads h of  sum over s &lt;= t of class c  p[t, h](s)
 * </pre>
 *
 * <p>A token is recent for the query at t if {@code s > t - recentWindow}, else a pivot if it was
 * told to be one, else text or visual. The masses of a layer add up to 1. Sums in double, in a
 * fixed order; {@code 2 headDim} operations a query head and visible key.
 */
public final class AttentionMass {
  private static final int CLASSES = TokenClass.values().length;

  private final int recentWindow;
  private final double[] sums = new double[CLASSES];
  private long rows;

  /**
   * Of one layer.
   *
   * @param recentWindow newest tokens that are recent
   * @throws IllegalArgumentException if negative
   */
  public AttentionMass(int recentWindow) {
    checkArgument(recentWindow >= 0, "recentWindow: expected >= 0, got %s", recentWindow);
    this.recentWindow = recentWindow;
  }

  /**
   * A whole sequence as the layer of an unquantized model sees it.
   *
   * @param q queries {@code [T, heads, headDim]}, F32, after the rotary embedding; dense last
   *     dimension
   * @param k keys {@code [T, kvHeads, headDim]}, likewise
   * @param scale factor of the scores
   * @param classes {@code [T]}: TEXT or VISUAL
   * @param pivots tokens that are pivots
   * @param first the first query that counts
   * @throws IllegalArgumentException if types, shapes, classes or numbers do not fit
   */
  public void add(
      Tensor q, Tensor k, float scale, TokenClass[] classes, long[] pivots, long first) {
    AttentionProbe probe = new AttentionProbe(q, k, scale);
    TokenClasses.check(classes, q.size(0));
    checkArgument(
        first >= 0 && first <= q.size(0), "first: expected 0 to %s, got %s", q.size(0), first);
    TokenClass[] settled = classes.clone();
    for (long pivot : pivots) {
      checkArgument(
          pivot >= 0 && pivot < settled.length,
          "pivots: expected 0 <= token < %s, got %s",
          settled.length,
          pivot);
      settled[(int) pivot] = TokenClass.PIVOT;
    }
    int from = Math.toIntExact(first) * probe.heads();
    double[][] masses = new double[probe.rows() - from][];
    Threads.forRanges(
        masses.length,
        1,
        (begin, end) -> {
          for (int i = (int) begin; i < end; i++) {
            masses[i] = mass(probe, settled, from + i);
          }
        });
    double[] added = new double[CLASSES];
    for (double[] mass : masses) {
      Arrays.setAll(added, c -> added[c] + mass[c]);
    }
    checkArgument(
        Double.isFinite(Arrays.stream(added).sum()),
        "q: expected finite scores with k, got one that is not");
    Arrays.setAll(sums, c -> sums[c] + added[c]);
    rows += masses.length;
  }

  private double[] mass(AttentionProbe probe, TokenClass[] settled, int row) {
    int t = row / probe.heads();
    double[] weights = probe.weights(t, row % probe.heads());
    double[] mass = new double[CLASSES];
    for (int s = 0; s <= t; s++) {
      TokenClass tokenClass = s > t - recentWindow ? TokenClass.RECENT : settled[s];
      mass[tokenClass.ordinal()] += weights[s];
    }
    return mass;
  }

  /** The share of each class; all 0 before a query was added. */
  public Map<TokenClass, Double> shares() {
    Map<TokenClass, Double> shares = new EnumMap<>(TokenClass.class);
    for (TokenClass tokenClass : TokenClass.values()) {
      shares.put(tokenClass, rows == 0 ? 0 : sums[tokenClass.ordinal()] / rows);
    }
    return shares;
  }
}
