package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.internal.ExpertIndex;
import io.github.lightning4j.moe.internal.MoeLibrary;
import io.github.lightning4j.moe.internal.RouterKernels;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Top-k routing.
 *
 * <pre>
 *   s_e = softmax(logits[t])_e, or sigmoid(logits[t, e])      {@link RouterOptions.Score}
 *   index[t] = the k experts of largest s_e + bias_e, largest first; of equals the lowest index first
 *   weight[t, j] = scale s_j / sum_i s_i, or scale s_j        over the k chosen; without the bias
 * </pre>
 *
 * <p>The logits {@code x Wr^T} are a product the caller makes with {@link
 * io.github.lightning4j.core.Gemm}. Without a bias, experts are compared by logit, of which every
 * score is a monotone function, so rounding never makes a tie and every implementation chooses the
 * same experts. Scores are formed where a bias is added or several of them make a group's score;
 * experts whose sums differ by less than rounding may then be chosen in another order than the
 * reference does. An expert whose logit is negative infinity comes last whatever its bias. Where a
 * denominator cancels in the weights it is not formed, so that no sum vanishes.
 *
 * <p>Numerics: fp32 on the CPU, double in the reference; tokens are independent, so results do not
 * depend on the number of threads. Cost: E comparisons and k exponentials a token; E exponentials
 * more with a bias, group scores of several experts, or weights that are not normalized. Sources:
 * MiniMax-01 (arXiv 2501.08313), DeepSeek-V2 and V3 (arXiv 2405.04434, 2412.19437), as released.
 */
public final class Router {
  /** Elements below which one thread is faster than two. */
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
   * Chooses the k experts of largest softmax and renormalises their weights: {@link
   * RouterOptions#topK}.
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
    route(logits, RouterOptions.topK(k), null, outIndex, outWeight);
  }

  /**
   * Chooses and weighs experts as the options say.
   *
   * @param logits {@code [T, E]} F32
   * @param options what is chosen and how it is weighed
   * @param bias {@code [E]} F32, contiguous and finite, added to the scores for the choice and
   *     nothing else, e.g. that of {@link ExpertBias}; null for none
   * @param outIndex {@code [T, k]} I32
   * @param outWeight {@code [T, k]} F32
   * @throws IllegalArgumentException if types or shapes do not fit, the options do not fit E
   *     experts, or a token has logits as above
   */
  public void route(
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      Tensor outIndex,
      Tensor outWeight) {
    Checks.matrix("logits", logits, DType.F32);
    options.check(logits.size(1));
    output("outIndex", outIndex, DType.I32, logits, options.k());
    output("outWeight", outWeight, DType.F32, logits, options.k());
    Disjoint.check("outWeight", outWeight, "outIndex", outIndex);
    if (bias != null) {
      ExpertBias.check("bias", bias);
      Checks.shape("bias", bias, logits.size(1));
      Checks.sameDevice("bias", bias, "logits", logits);
      Disjoint.check("outIndex", outIndex, "bias", bias);
      Disjoint.check("outWeight", outWeight, "bias", bias);
    }
    AtomicLong broken = new AtomicLong(Long.MAX_VALUE);
    Recording.forRanges(
        logits.size(0),
        grain(logits),
        (from, to) -> {
          long token = kernels.route(logits, options, bias, outIndex, outWeight, from, to);
          if (token >= 0) {
            broken.accumulateAndGet(token, Math::min);
          }
        });
    Recording.once(
        () -> {
          long token = broken.getAndSet(Long.MAX_VALUE);
          if (token != Long.MAX_VALUE) {
            throw notFinite(logits, token);
          }
        });
  }

  private static void output(String name, Tensor out, DType dtype, Tensor logits, int k) {
    Checks.matrix(name, out, dtype);
    Checks.shape(name, out, logits.size(0), k);
    Checks.sameDevice(name, out, "logits", logits);
    Disjoint.check(name, out, "logits", logits);
  }

  /**
   * The gradient of {@link #route(Tensor, int, Tensor, Tensor)} with respect to the logits; the
   * choice itself has none.
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
    Checks.matrix("index", index, DType.I32);
    RouterOptions options = RouterOptions.topK(Math.toIntExact(index.size(1)));
    backward(logits, options, index, dWeight, outDLogits);
  }

  /**
   * The gradient of {@link #route(Tensor, RouterOptions, Tensor, Tensor, Tensor)} with respect to
   * the logits; choice and bias have none. With c the scale, s the sigmoid, g = dWeight and w the
   * weights, at the chosen experts, 0 elsewhere:
   *
   * <pre>
   *   softmax, normalized      w_j (g_j - (w, g) / c)
   *   softmax over all         c p_j (g_j - (p, g))      and -c p_e (p, g) at the others
   *   sigmoid, normalized      w_j (1 - s_j) (g_j - (w, g) / c)
   *   sigmoid                  w_j (1 - s_j) g_j
   * </pre>
   *
   * @param logits as given to {@code route}
   * @param options as given to {@code route}
   * @param index {@code [T, k]} I32, as {@code route} gave it
   * @param dWeight {@code [T, k]} F32
   * @param outDLogits {@code [T, E]} F32, overwritten
   * @throws IllegalArgumentException if types or shapes do not fit, or an index is outside {@code
   *     [0, E)}
   */
  public void backward(
      Tensor logits, RouterOptions options, Tensor index, Tensor dWeight, Tensor outDLogits) {
    Checks.matrix("logits", logits, DType.F32);
    options.check(logits.size(1));
    Checks.matrix("index", index, DType.I32);
    Checks.shape("index", index, logits.size(0), options.k());
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
        (from, to) -> kernels.backward(logits, options, index, dWeight, outDLogits, from, to));
  }

  /**
   * Input jitter of training: multiplies the router's input, ahead of the product with its weights,
   * by noise that keeps near ties open. The noise depends on seed, row and column alone; give each
   * step, layer and rank a seed of its own. It is its own gradient: the same call with the same
   * seed takes the gradient of {@code outX} to that of {@code x}.
   *
   * <pre>  outX[t, h] = x[t, h] u,  u uniform in [1 - amount, 1 + amount)</pre>
   *
   * <p>The noise is that of transformers, on the input and not on the logits; there the experts see
   * the jittered input too, in Megatron only the router does. Numerics: fp32 on the CPU, double in
   * the reference.
   *
   * @param x {@code [T, H]} F32
   * @param amount {@code 0 <= amount < 1}; 0 in the released models, 0.01 in Switch Transformer
   * @param seed anything
   * @param outX {@code [T, H]} F32; may be {@code x} itself
   * @throws IllegalArgumentException if types, shapes or the amount do not fit
   */
  public void jitter(Tensor x, double amount, long seed, Tensor outX) {
    Checks.matrix("x", x, DType.F32);
    checkArgument(amount >= 0 && amount < 1, "amount: expected 0 <= amount < 1, got %s", amount);
    Checks.matrix("outX", outX, DType.F32);
    Checks.shape("outX", outX, x.shape());
    Checks.sameDevice("outX", outX, "x", x);
    if (outX.address() == x.address() && outX.stride(0) == x.stride(0)) {
      Checks.writable("outX", outX);
    } else {
      Disjoint.check("outX", outX, "x", x);
    }
    Threads.forRanges(
        x.size(0), grain(x), (from, to) -> kernels.jitter(x, amount, seed, outX, from, to));
  }

  private static long grain(Tensor rows) {
    return Math.max(1, GRAIN / Math.max(1, rows.size(1)));
  }

  private static IllegalArgumentException notFinite(Tensor logits, long token) {
    return new IllegalArgumentException(
        "logits["
            + token
            + "]: expected numbers below infinity, one of them finite, got "
            + Arrays.toString(logits.select(0, token).toFloats()));
  }
}
