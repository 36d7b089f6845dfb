package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.moe.SumOverRanks;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.loss.AuxLoss;
import io.github.lightning4j.moe.loss.BalanceLoss;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import io.github.lightning4j.moe.loss.RouterBatch;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.List;

/** The balance loss of a global batch: the losses of the ranks sum to that of a single rank. */
final class AuxiliaryLosses {
  private AuxiliaryLosses() {}

  static void check(Communicator world) {
    for (Load load : Load.values()) {
      for (Normalization normalization : Normalization.values()) {
        check(world, load, new BalanceLoss(0.01, normalization, Scope.GLOBAL_BATCH));
      }
    }
  }

  private static void check(Communicator world, Load load, BalanceLoss loss) {
    try (Layer layer = new Layer(110, DType.F32, load)) {
      Tensor logits = layer.scope.add(Cases.normal(4, DType.F32, layer.tokens, Layer.EXPERTS));
      Tensor whole = layer.scope.allocate(DType.F32, logits.shape());
      double expected =
          AuxLoss.of(loss)
              .evaluate(RouterBatch.of(List.of(logits), List.of(layer.index)), List.of(whole))
              .total();
      Tensor mine = layer.part(logits, world.rank(), world.size());
      Tensor chosen = layer.part(layer.index, world.rank(), world.size());
      Tensor gradient = layer.scope.allocate(DType.F32, mine.shape());
      double local =
          AuxLoss.of(loss)
              .withRanks(SumOverRanks.over(world))
              .evaluate(RouterBatch.of(List.of(mine), List.of(chosen)), List.of(gradient))
              .total();
      try (Tensor sum = Tensor.of(new double[] {local}, 1)) {
        world.allReduceSum(sum);
        assertThat(sum.toDoubles()[0]).isCloseTo(expected, within(1e-6 * expected));
      }
      Closeness.assertWithin(
          "gradient",
          gradient.toDoubles(),
          layer.part(whole, world.rank(), world.size()).toDoubles(),
          1e-9);
    }
  }
}
