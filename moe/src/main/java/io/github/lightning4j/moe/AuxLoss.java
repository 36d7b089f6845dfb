package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.Rows;
import io.github.lightning4j.moe.internal.Softmax;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Losses that keep the load of the experts balanced in training. Plain Java in double: they read
 * logits only, {@code layers T E} numbers.
 */
public final class AuxLoss {
  private static final Set<DType> MASKS =
      EnumSet.complementOf(EnumSet.of(DType.F64, DType.F32, DType.F16, DType.BF16));

  private AuxLoss() {}

  /**
   * The balance loss of transformers' {@code load_balancing_loss_func}: tokens of all layers are
   * pooled.
   *
   * <pre>
   *   f_e = mean over layers and tokens of [e among the k chosen]     (sums to k)
   *   P_e = mean over layers and tokens of p_e,  p = softmax(logits)
   *   loss = E sum_e f_e P_e                                          (k where all is even)
   *   dlogits = p * (a - (p, a)),  a_e = E f_e / N                    (f has no gradient)
   * </pre>
   *
   * <p>N is the number of tokens that count, times the layers. The weight of the loss, 0.001 in
   * MiniMax-M1, is the caller's.
   *
   * @param routerLogits for each layer {@code [T, E]} F32, all of one shape
   * @param k how many experts a token chose, {@code 1 <= k <= E}
   * @param mask T integers in any contiguous shape, e.g. {@code [B, S]}: tokens with 0 do not
   *     count; null if all do
   * @param outGradients for each layer {@code [T, E]} F32, overwritten by the gradient of the loss;
   *     tokens that do not count get zeros; null if not wanted
   * @return the loss
   * @throws IllegalArgumentException if types or shapes do not fit, no token counts, or a token
   *     that counts has a logit that is NaN or positive infinity, or none above negative infinity
   */
  public static double hfPooled(
      List<Tensor> routerLogits,
      int k,
      @Nullable Tensor mask,
      @Nullable List<Tensor> outGradients) {
    check(routerLogits, k, mask);
    if (outGradients != null) {
      checkGradients(routerLogits, outGradients);
    }
    boolean[] counts = counts(mask, (int) routerLogits.get(0).size(0));
    int experts = (int) routerLogits.get(0).size(1);
    double[] chosen = new double[experts];
    double[] probability = new double[experts];
    long rows = 0;
    for (int layer = 0; layer < routerLogits.size(); layer++) {
      for (int t = 0; t < counts.length; t++) {
        if (counts[t]) {
          add(routerLogits.get(layer), layer, t, k, chosen, probability);
          rows++;
        }
      }
    }
    checkArgument(rows > 0, "mask: expected at least one token that counts, got none");
    double loss = 0;
    for (int e = 0; e < experts; e++) {
      loss += experts * (chosen[e] / rows) * (probability[e] / rows);
    }
    if (outGradients != null) {
      double[] slope = new double[experts];
      for (int e = 0; e < experts; e++) {
        slope[e] = experts * (chosen[e] / rows) / rows;
      }
      for (int layer = 0; layer < routerLogits.size(); layer++) {
        gradient(routerLogits.get(layer), counts, slope, outGradients.get(layer));
      }
    }
    return loss;
  }

  private static void add(
      Tensor logits, int layer, int token, int k, double[] chosen, double[] probability) {
    double[] row = Rows.get(logits, token);
    checkArgument(
        Softmax.defined(row),
        "routerLogits[%s], token %s: expected numbers below infinity, one of them finite",
        layer,
        token);
    for (int e : Softmax.largest(row, k)) {
      chosen[e]++;
    }
    double[] p = Softmax.probabilities(row);
    for (int e = 0; e < p.length; e++) {
      probability[e] += p[e];
    }
  }

  private static void gradient(Tensor logits, boolean[] counts, double[] slope, Tensor out) {
    for (int t = 0; t < counts.length; t++) {
      double[] gradient = new double[slope.length];
      if (counts[t]) {
        double[] p = Softmax.probabilities(Rows.get(logits, t));
        double mean = 0;
        for (int e = 0; e < p.length; e++) {
          mean += p[e] * slope[e];
        }
        for (int e = 0; e < p.length; e++) {
          gradient[e] = p[e] * (slope[e] - mean);
        }
      }
      Rows.set(out, t, gradient);
    }
  }

  private static boolean[] counts(@Nullable Tensor mask, int tokens) {
    boolean[] counts = new boolean[tokens];
    Elements values = mask == null ? null : mask.accessor();
    for (int t = 0; t < tokens; t++) {
      counts[t] = values == null || values.getLong(t) != 0;
    }
    return counts;
  }

  private static void check(List<Tensor> logits, int k, @Nullable Tensor mask) {
    checkArgument(!logits.isEmpty(), "routerLogits: expected at least one layer, got none");
    for (int layer = 0; layer < logits.size(); layer++) {
      Checks.matrix("routerLogits[" + layer + "]", logits.get(layer), DType.F32);
      Checks.shape("routerLogits[" + layer + "]", logits.get(layer), logits.get(0).shape());
    }
    Tensor first = logits.get(0);
    checkArgument(
        k >= 1 && k <= first.size(1), "k: expected 1 <= k <= %s, got %s", first.size(1), k);
    checkArgument(first.size(0) > 0, "routerLogits[0]: expected at least one token, got none");
    if (mask != null) {
      Checks.dtype("mask", mask, MASKS);
      Checks.contiguous("mask", mask);
      checkArgument(
          mask.elements() == first.size(0),
          "mask: expected %s elements, one a token, got %s",
          first.size(0),
          mask);
    }
  }

  private static void checkGradients(List<Tensor> logits, List<Tensor> out) {
    checkArgument(
        out.size() == logits.size(),
        "outGradients: expected %s layers, got %s",
        logits.size(),
        out.size());
    for (int layer = 0; layer < out.size(); layer++) {
      Checks.matrix("outGradients[" + layer + "]", out.get(layer), DType.F32);
      Checks.writable("outGradients[" + layer + "]", out.get(layer));
      Checks.shape("outGradients[" + layer + "]", out.get(layer), logits.get(layer).shape());
      Disjoint.check(
          "outGradients[" + layer + "]", out.get(layer), "routerLogits", logits.get(layer));
    }
  }
}
