package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.SumOverRanks;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.internal.Rows;
import io.github.lightning4j.moe.internal.Sigmoid;
import io.github.lightning4j.moe.internal.Softmax;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Auxiliary losses of routers: any number at once, each with its own coefficient, and the gradient
 * of their sum.
 *
 * <pre>
 *   total = sum_i coefficient_i value_i                       {@link BalanceLoss}, {@link ZLoss}
 *   softmax:  dlogits = p * (a - (p, a))                      a = d total / dp
 *   sigmoid:  dlogits = p * (1 - s) * (a - (p, a))            p = s / sum_e s
 *   z:        dlogits = 2 coefficient lse softmax / N
 * </pre>
 *
 * <p>Plain Java in double; gradients are rounded to F32 once. Sums run in the order of the tokens,
 * so results do not depend on the number of threads. Cost: {@code layers T E} exponentials, twice
 * that with gradients. Safe for use by several threads.
 */
public final class AuxLoss {
  private static final long GRAIN = 1 << 14;

  private final List<LossTerm> terms;
  private final Score score;
  private final SumOverRanks ranks;

  private AuxLoss(List<LossTerm> terms, Score score, SumOverRanks ranks) {
    this.terms = terms;
    this.score = score;
    this.ranks = ranks;
  }

  /**
   * These terms over softmax probabilities, on a single rank.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static AuxLoss of(LossTerm... terms) {
    checkArgument(terms.length > 0, "terms: expected at least one, got none");
    return new AuxLoss(List.of(terms), Score.SOFTMAX, SumOverRanks.single());
  }

  /**
   * The same for another score: with {@link Score#SIGMOID} p are the sigmoids divided by their sum
   * over all experts; both kinds of softmax have p over all experts.
   */
  public AuxLoss withScore(Score newScore) {
    return new AuxLoss(terms, requireNonNull(newScore, "newScore"), ranks);
  }

  /**
   * The same on several ranks. {@link #evaluate} then sums once a call if a term has {@link
   * Scope#GLOBAL_BATCH}, else never; a rank may have no token that counts, its terms are 0. A rank
   * whose arguments are refused takes part in that sum, so the others do not wait for it.
   */
  public AuxLoss withRanks(SumOverRanks newRanks) {
    return new AuxLoss(terms, score, requireNonNull(newRanks, "newRanks"));
  }

  /**
   * Evaluates all terms.
   *
   * @param outGradients for each layer {@code [T, E]} F32, overwritten by the gradient of the
   *     total; tokens that do not count get zeros; null if not wanted
   * @throws IllegalArgumentException if the gradients do not fit the batch, a token that counts has
   *     a logit that is NaN or positive infinity, or none above negative infinity, or no token
   *     counts (on any rank, if a term has {@link Scope#GLOBAL_BATCH})
   * @throws RankMismatchException if a term has that scope and another rank's arguments are refused
   */
  public LossValues evaluate(RouterBatch batch, @Nullable List<Tensor> outGradients) {
    Loads loads = loads(batch, outGradients);
    Load[] all = overRanks(loads);
    Balance balance = new Balance(loads, all);
    double[][][] slopes = new double[loads.cells.length][loads.cells[0].length][loads.experts];
    List<Double> values = new ArrayList<>();
    double total = 0;
    double zSlope = 0;
    for (LossTerm term : terms) {
      double value;
      if (term instanceof BalanceLoss b) {
        value = balance.add(b, slopes);
      } else {
        long tokens = all != null && global(term) ? all[0].tokens : loads.tokens();
        value = tokens == 0 ? 0 : loads.squaredLse() / tokens;
        zSlope += tokens == 0 ? 0 : 2 * term.coefficient() / tokens;
      }
      values.add(value);
      total += term.coefficient() * value;
    }
    if (outGradients != null) {
      for (int layer = 0; layer < slopes.length; layer++) {
        Tensor logits = batch.routerLogits().get(layer);
        gradients(logits, loads.sequenceOf, slopes[layer], zSlope, outGradients.get(layer));
      }
    }
    return new LossValues(values, total);
  }

  /** Checks and reads the batch; what is refused here is told to ranks that would wait. */
  private Loads loads(RouterBatch batch, @Nullable List<Tensor> outGradients) {
    try {
      if (outGradients != null) {
        checkGradients(batch.routerLogits(), outGradients);
      }
      return Loads.of(batch, score);
    } catch (IllegalArgumentException | IllegalStateException e) {
      if (terms.stream().anyMatch(AuxLoss::global)) {
        Loads.refuse(batch, ranks);
      }
      throw e;
    }
  }

  /** The loads over all ranks if a term wants them; checks that some token counts. */
  private Load @Nullable [] overRanks(Loads loads) {
    if (terms.stream().noneMatch(AuxLoss::global)) {
      checkArgument(loads.tokens() > 0, "mask: expected at least one token that counts, got none");
      return null;
    }
    Load[] all = loads.overRanks(ranks);
    checkArgument(
        all[0].tokens > 0, "mask: expected at least one token that counts on some rank, got none");
    return all;
  }

  private static boolean global(LossTerm term) {
    return term.scope() == Scope.GLOBAL_BATCH;
  }

  private void gradients(Tensor logits, int[] sequenceOf, double[][] slopes, double z, Tensor out) {
    Threads.forRanges(
        sequenceOf.length,
        Math.max(1, GRAIN / logits.size(1)),
        (from, to) -> {
          for (int t = (int) from; t < to; t++) {
            boolean counts = sequenceOf[t] >= 0;
            Rows.set(
                out,
                t,
                counts
                    ? gradient(Rows.get(logits, t), slopes[sequenceOf[t]], z)
                    : new double[(int) logits.size(1)]);
          }
        });
  }

  private double[] gradient(double[] row, double[] slope, double z) {
    double[] p = Loads.probabilities(row, score);
    double mean = 0;
    for (int e = 0; e < row.length; e++) {
      mean += p[e] * slope[e];
    }
    double[] gradient = new double[row.length];
    for (int e = 0; e < row.length; e++) {
      double own = score == Score.SIGMOID ? Sigmoid.of(-row[e]) : 1;
      gradient[e] = p[e] * own * (slope[e] - mean);
    }
    if (z != 0) {
      double[] softmax = Softmax.probabilities(row);
      double lse = Softmax.logSumExp(row);
      for (int e = 0; e < row.length; e++) {
        gradient[e] += z * lse * softmax[e];
      }
    }
    return gradient;
  }

  /**
   * The balance loss of transformers' {@code load_balancing_loss_func}, {@link
   * Normalization#HF_POOLED} with coefficient 1, over the k largest logits of each token.
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
    RouterBatch.checkLogits(routerLogits);
    Tensor first = routerLogits.get(0);
    checkArgument(
        k >= 1 && k <= first.size(1), "k: expected 1 <= k <= %s, got %s", first.size(1), k);
    try (MemoryScope scope = new MemoryScope()) {
      List<Tensor> index = new ArrayList<>();
      for (Tensor logits : routerLogits) {
        Tensor chosen = scope.allocate(DType.I32, logits.size(0), k);
        Elements to = chosen.accessor();
        for (long t = 0; t < logits.size(0); t++) {
          int[] largest = Softmax.largest(Rows.get(logits, t), k);
          for (int s = 0; s < k; s++) {
            to.setLong(t * k + s, largest[s]);
          }
        }
        index.add(chosen);
      }
      RouterBatch batch = RouterBatch.of(routerLogits, index).withMask(mask);
      return of(new BalanceLoss(1, Normalization.HF_POOLED, Scope.MICRO_BATCH))
          .evaluate(batch, outGradients)
          .total();
    }
  }

  private static void checkGradients(List<Tensor> logits, List<Tensor> out) {
    checkArgument(
        out.size() == logits.size(),
        "outGradients: expected %s layers, got %s",
        logits.size(),
        out.size());
    for (int layer = 0; layer < out.size(); layer++) {
      String name = "outGradients[" + layer + "]";
      Checks.matrix(name, out.get(layer), DType.F32);
      Checks.writable(name, out.get(layer));
      Checks.shape(name, out.get(layer), logits.get(layer).shape());
      for (Tensor read : logits) {
        if (Checks.overlap(out.get(layer), read)) {
          throw new IllegalArgumentException(
              name + ": must not overlap routerLogits, got " + out.get(layer) + " over " + read);
        }
      }
    }
  }
}
