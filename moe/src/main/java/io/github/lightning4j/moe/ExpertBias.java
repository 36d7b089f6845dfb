package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertIndex;
import io.github.lightning4j.moe.internal.TokenMask;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Balance without a loss: a bias that moves the choice of experts, and nothing else, towards those
 * with few tokens.
 *
 * <pre>  b_i += rate * sign(mean_j n_j - n_i)        n_i: choices of expert i since the last update
 * </pre>
 *
 * <p>Call {@link #add} for every micro-batch and {@link #update} once a training step. The
 * comparison with the mean is made in whole numbers and is exact; the bias is kept in the caller's
 * F32 tensor, so that a checkpoint can hold it. Not for use by several threads. Source: DeepSeek-V3
 * (arXiv 2412.19437), 2.1.2; a usual rate is 0.001.
 */
public final class ExpertBias {
  private final Tensor bias;
  private final double rate;
  private final long[] counts;

  /**
   * Takes over a bias.
   *
   * @param bias {@code [E]} F32, contiguous, finite; zeros to begin with; stays the caller's to
   *     close
   * @param rate how far a bias moves at an update, finite and at least 0
   * @throws IllegalArgumentException if one does not fit
   */
  public ExpertBias(Tensor bias, double rate) {
    check("bias", bias);
    Checks.writable("bias", bias);
    checkArgument(
        rate >= 0 && rate < Double.POSITIVE_INFINITY,
        "rate: expected a finite number of at least 0, got %s",
        rate);
    this.bias = bias;
    this.rate = rate;
    this.counts = new long[(int) bias.size(0)];
  }

  static void check(String name, Tensor bias) {
    Checks.dtype(name, bias, DType.F32);
    Checks.rank(name, bias, 1);
    Checks.contiguous(name, bias);
    checkArgument(bias.size(0) > 0, "%s: expected at least one expert, got none", name);
    Elements values = bias.accessor();
    for (long e = 0; e < bias.size(0); e++) {
      double value = values.get(e);
      if (!Double.isFinite(value)) {
        throw new IllegalArgumentException(
            name + "[" + e + "]: expected a finite number, got " + value);
      }
    }
  }

  /** The bias {@code [E]} to give to {@link Router#route}. */
  public Tensor bias() {
    return bias;
  }

  /** How often each expert was chosen on this rank since the last update. */
  public long[] counts() {
    return counts.clone();
  }

  /**
   * Counts the choices of one micro-batch.
   *
   * @param index {@code [T, k]} I32 as the router gave it, before any capacity
   * @param mask T integers, tokens with 0 do not count; null if all do
   * @throws IllegalArgumentException if one does not fit; nothing is counted then
   */
  public void add(Tensor index, @Nullable Tensor mask) {
    Checks.matrix("index", index, DType.I32);
    boolean[] counted = TokenMask.of(mask, index.size(0));
    ExpertIndex.check(index, counts.length);
    long slots = index.size(1);
    ExpertIndex.forEach(
        index,
        counts.length,
        (pair, expert) -> {
          if (counted[(int) (pair / slots)]) {
            counts[expert]++;
          }
        });
  }

  /**
   * Moves the bias by what was counted on all ranks, and starts counting anew.
   *
   * @param ranks how counts are summed over the ranks
   */
  public void update(SumOverRanks ranks) {
    long[] all = counts.clone();
    ranks.sum(all);
    long total = Arrays.stream(all).sum();
    Elements values = bias.accessor();
    for (int e = 0; e < all.length; e++) {
      int direction = Long.signum(total - all[e] * all.length);
      values.set(e, values.get(e) + rate * direction);
    }
    Arrays.fill(counts, 0);
  }
}
