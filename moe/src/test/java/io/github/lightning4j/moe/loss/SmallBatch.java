package io.github.lightning4j.moe.loss;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.moe.Router;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.ArrayList;
import java.util.List;

/**
 * Two layers of random logits and the choice of their routers; the formulas of the losses over it,
 * written plainly.
 */
final class SmallBatch {
  static final int LAYERS = 2;
  static final int TOKENS = 11;
  static final int EXPERTS = 6;
  static final int K = 2;

  /**
   * Two layers of random logits, their choice, a mask and three sequences, the second all masked.
   */
  static RouterBatch batch(MemoryScope scope) {
    List<Tensor> logits = new ArrayList<>();
    for (int layer = 0; layer < LAYERS; layer++) {
      logits.add(scope.add(Cases.normal(layer + 1, DType.F32, TOKENS, EXPERTS)));
    }
    Tensor mask = scope.add(Tensor.of(new int[] {1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0}, TOKENS));
    Tensor offsets = scope.add(Tensor.of(new int[] {0, 4, 6, 11}, 4));
    return RouterBatch.of(logits, chosen(scope, logits)).withMask(mask).withOffsets(offsets);
  }

  static List<Tensor> chosen(MemoryScope scope, List<Tensor> logits) {
    List<Tensor> index = new ArrayList<>();
    for (Tensor layer : logits) {
      Tensor chosen = scope.allocate(DType.I32, layer.size(0), K);
      Tensor weight = scope.allocate(DType.F32, layer.size(0), K);
      Router.of(Backend.REFERENCE).route(layer, K, chosen, weight);
      index.add(chosen);
    }
    return index;
  }

  static List<Tensor> gradients(MemoryScope scope, RouterBatch batch) {
    List<Tensor> out = new ArrayList<>();
    for (Tensor logits : batch.routerLogits()) {
      out.add(scope.add(Cases.normal(3, DType.F32, logits.shape())));
    }
    return out;
  }

  static double[] join(List<Tensor> tensors) {
    double[] all = new double[LAYERS * TOKENS * EXPERTS];
    for (int layer = 0; layer < LAYERS; layer++) {
      double[] part = tensors.get(layer).toDoubles();
      System.arraycopy(part, 0, all, layer * part.length, part.length);
    }
    return all;
  }

  static double[][] layers(double[] all) {
    double[][] parts = new double[LAYERS][TOKENS * EXPERTS];
    for (int layer = 0; layer < LAYERS; layer++) {
      System.arraycopy(all, layer * TOKENS * EXPERTS, parts[layer], 0, TOKENS * EXPERTS);
    }
    return parts;
  }

  /** The formula over some tokens of some layers, with the choice and scores as given. */
  static double plain(
      RouterBatch batch, double[][] logits, int[] layers, int[] tokens, Score score) {
    double[] f = new double[EXPERTS];
    double[] p = new double[EXPERTS];
    for (int layer : layers) {
      long[] index = batch.index().get(layer).toLongs();
      for (int t : tokens) {
        double total = 0;
        double[] s = new double[EXPERTS];
        for (int e = 0; e < EXPERTS; e++) {
          double l = logits[layer][t * EXPERTS + e];
          total += s[e] = score == Score.SIGMOID ? 1 / (1 + Math.exp(-l)) : Math.exp(l);
        }
        for (int e = 0; e < EXPERTS; e++) {
          p[e] += s[e] / total / (layers.length * tokens.length);
        }
        for (int s1 = 0; s1 < K; s1++) {
          f[(int) index[t * K + s1]] += 1.0 / (layers.length * tokens.length);
        }
      }
    }
    double sum = 0;
    for (int e = 0; e < EXPERTS; e++) {
      sum += f[e] * p[e];
    }
    return sum;
  }

  static final int[] COUNTED = {0, 1, 2, 6, 7, 8, 9};
  static final int[][] SEQUENCES = {{0, 1, 2}, {6, 7, 8, 9}};

  /** The sum of coefficient times value, from the formulas alone. */
  static double plainTotal(
      RouterBatch batch, double[][] logits, List<LossTerm> terms, Score score) {
    double total = 0;
    for (LossTerm term : terms) {
      total += term.coefficient() * plainValue(batch, logits, term, score);
    }
    return total;
  }

  static double plainValue(RouterBatch batch, double[][] logits, LossTerm term, Score score) {
    double value = 0;
    if (term instanceof BalanceLoss balance) {
      int[][] layers =
          balance.normalization() == Normalization.HF_POOLED
              ? new int[][] {{0, 1}}
              : new int[][] {{0}, {1}};
      int[][] pools = balance.scope() == Scope.SEQUENCE ? SEQUENCES : new int[][] {COUNTED};
      double factor =
          switch (balance.normalization()) {
            case SWITCH -> (double) EXPERTS / K;
            case GSHARD_MEAN -> 1.0 / EXPERTS;
            case HF_POOLED -> EXPERTS;
          };
      for (int[] layer : layers) {
        for (int[] pool : pools) {
          value += factor * plain(batch, logits, layer, pool, score) / pools.length;
        }
      }
      return value;
    }
    for (double[] layer : logits) {
      for (int t : COUNTED) {
        double sum = 0;
        for (int e = 0; e < EXPERTS; e++) {
          sum += Math.exp(layer[t * EXPERTS + e]);
        }
        value += Math.log(sum) * Math.log(sum) / COUNTED.length;
      }
    }
    return value;
  }

  private SmallBatch() {}
}
