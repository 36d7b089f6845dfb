package io.github.lightning4j.moe.loss;

import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Values and slopes of balance losses over the loads of a batch. */
final class Balance {
  private final Loads loads;
  private final Load @Nullable [] global;

  /** With the loads of each layer over all ranks, where a term asks for them. */
  Balance(Loads loads, Load @Nullable [] global) {
    this.loads = loads;
    this.global = global;
  }

  /**
   * The value without its coefficient.
   *
   * @param slopes by layer, sequence and expert: what a probability is multiplied by in the sum of
   *     all terms; this term is added, with its coefficient
   */
  double add(BalanceLoss term, double[][][] slopes) {
    int layers = loads.cells.length;
    int sequences = loads.cells[0].length;
    int layerStep = term.normalization() == Normalization.HF_POOLED ? layers : 1;
    int sequenceStep = term.scope() == Scope.SEQUENCE ? 1 : sequences;
    double share = term.scope() == Scope.SEQUENCE ? 1.0 / loads.liveSequences() : 1;
    double value = 0;
    for (int layer = 0; layer < layers; layer += layerStep) {
      for (int sequence = 0; sequence < sequences; sequence += sequenceStep) {
        value +=
            pool(term, layer, layer + layerStep, sequence, sequence + sequenceStep, share, slopes);
      }
    }
    return value;
  }

  private double pool(
      BalanceLoss term,
      int fromLayer,
      int toLayer,
      int fromSequence,
      int toSequence,
      double share,
      double[][][] slopes) {
    Load local = loads.sum(fromLayer, toLayer, fromSequence, toSequence);
    Load all =
        term.scope() == Scope.GLOBAL_BATCH && global != null
            ? Load.of(loads.experts, List.of(global).subList(fromLayer, toLayer))
            : local;
    if (all.tokens == 0) {
      return 0;
    }
    double factor = share * factor(term.normalization());
    double value = 0;
    for (int e = 0; e < loads.experts; e++) {
      double slope = factor * all.chosen[e] / all.tokens / all.tokens;
      value += slope * local.probability[e];
      for (int layer = fromLayer; layer < toLayer; layer++) {
        for (int sequence = fromSequence; sequence < toSequence; sequence++) {
          slopes[layer][sequence][e] += term.coefficient() * slope;
        }
      }
    }
    return value;
  }

  private double factor(Normalization normalization) {
    return switch (normalization) {
      case SWITCH -> (double) loads.experts / loads.slots;
      case GSHARD_MEAN -> 1.0 / loads.experts;
      case HF_POOLED -> loads.experts;
    };
  }
}
