package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.internal.ExpertIndex;
import io.github.lightning4j.moe.internal.MoeLibrary;
import io.github.lightning4j.moe.internal.RouterKernels;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Softmax top-k routing.
 *
 * <pre>
 *   p = softmax(logits[t])                 over E experts
 *   index[t] = the k experts of largest p, largest first; of equals the lowest index first
 *   weight[t, j] = p_j / sum_i p_i         over the k chosen
 * </pre>
 *
 * <p>The logits {@code x Wr^T} are a product the caller makes with {@link
 * io.github.lightning4j.core.Gemm}. Experts are compared by logit, of which p is a monotone
 * function, so rounding never makes a tie and every implementation chooses the same experts. The
 * denominator of the softmax cancels in the weights and is not formed. Numerics: fp32 on the CPU,
 * double in the reference; tokens are independent, so results do not depend on the number of
 * threads. Cost: E comparisons and k exponentials a token. Source: MiniMax-01 (arXiv 2501.08313),
 * as released.
 */
public final class Router {
  /** Logits below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private final RouterKernels kernels;

  private Router(RouterKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static Router best() {
    return of(MoeLibrary.get().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static Router of(Backend backend) {
    return new Router(RouterKernels.of(backend));
  }

  /**
   * Chooses k experts for each token.
   *
   * @param logits {@code [T, E]} F32
   * @param k how many, {@code 1 <= k <= E}
   * @param outIndex {@code [T, k]} I32
   * @param outWeight {@code [T, k]} F32; each row sums to 1
   * @throws IllegalArgumentException if types or shapes do not fit, or a token has a logit that is
   *     NaN or positive infinity, or none above negative infinity; the message names the first such
   *     token, and the outputs are then undefined
   */
  public void route(Tensor logits, int k, Tensor outIndex, Tensor outWeight) {
    Checks.matrix("logits", logits, DType.F32);
    checkArgument(
        k >= 1 && k <= logits.size(1), "k: expected 1 <= k <= %s, got %s", logits.size(1), k);
    Checks.matrix("outIndex", outIndex, DType.I32);
    Checks.shape("outIndex", outIndex, logits.size(0), k);
    Checks.matrix("outWeight", outWeight, DType.F32);
    Checks.shape("outWeight", outWeight, logits.size(0), k);
    Checks.sameDevice("outIndex", outIndex, "logits", logits);
    Checks.sameDevice("outWeight", outWeight, "logits", logits);
    Disjoint.check("outIndex", outIndex, "logits", logits);
    Disjoint.check("outWeight", outWeight, "logits", logits);
    Disjoint.check("outWeight", outWeight, "outIndex", outIndex);
    AtomicLong broken = new AtomicLong(Long.MAX_VALUE);
    Threads.forRanges(
        logits.size(0),
        grain(logits),
        (from, to) -> {
          long token = kernels.route(logits, outIndex, outWeight, from, to);
          if (token >= 0) {
            broken.accumulateAndGet(token, Math::min);
          }
        });
    if (broken.get() != Long.MAX_VALUE) {
      throw notFinite(logits, broken.get());
    }
  }

  /**
   * The gradient of {@link #route} with respect to the logits; the choice itself has none.
   *
   * <pre>  dlogits[t, index_j] = weight_j (dWeight_j - sum_i weight_i dWeight_i), 0 elsewhere</pre>
   *
   * @param logits as given to {@code route}
   * @param index {@code [T, k]} I32, as {@code route} gave it
   * @param dWeight {@code [T, k]} F32
   * @param outDLogits {@code [T, E]} F32, overwritten
   * @throws IllegalArgumentException if types or shapes do not fit, or an index is outside {@code
   *     [0, E)}
   */
  public void backward(Tensor logits, Tensor index, Tensor dWeight, Tensor outDLogits) {
    Checks.matrix("logits", logits, DType.F32);
    Checks.matrix("index", index, DType.I32);
    Checks.shape("index", index, logits.size(0), index.size(1));
    Checks.matrix("dWeight", dWeight, DType.F32);
    Checks.shape("dWeight", dWeight, index.shape());
    Checks.matrix("outDLogits", outDLogits, DType.F32);
    Checks.shape("outDLogits", outDLogits, logits.shape());
    Checks.sameDevice("index", index, "logits", logits);
    Checks.sameDevice("dWeight", dWeight, "logits", logits);
    Checks.sameDevice("outDLogits", outDLogits, "logits", logits);
    Disjoint.check("outDLogits", outDLogits, "logits", logits);
    Disjoint.check("outDLogits", outDLogits, "index", index);
    Disjoint.check("outDLogits", outDLogits, "dWeight", dWeight);
    ExpertIndex.check(index, logits.size(1));
    Threads.forRanges(
        logits.size(0),
        grain(logits),
        (from, to) -> kernels.backward(logits, index, dWeight, outDLogits, from, to));
  }

  private static long grain(Tensor logits) {
    return Math.max(1, GRAIN / logits.size(1));
  }

  private static IllegalArgumentException notFinite(Tensor logits, long token) {
    return new IllegalArgumentException(
        "logits["
            + token
            + "]: expected numbers below infinity, one of them finite, got "
            + Arrays.toString(logits.select(0, token).toFloats()));
  }
}
