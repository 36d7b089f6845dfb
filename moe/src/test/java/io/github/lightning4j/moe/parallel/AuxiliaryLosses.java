package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.moe.SumOverRanks;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.loss.AuxLoss;
import io.github.lightning4j.moe.loss.BalanceLoss;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import io.github.lightning4j.moe.loss.LossTerm;
import io.github.lightning4j.moe.loss.LossValues;
import io.github.lightning4j.moe.loss.RouterBatch;
import io.github.lightning4j.moe.loss.ZLoss;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The losses of a global batch: values and gradients of the ranks sum to those of a single rank.
 * The second rank has no tokens, with a mask the third none that count.
 */
final class AuxiliaryLosses {
  private static final ZLoss Z = new ZLoss(0.001).withScope(Scope.GLOBAL_BATCH);

  private final Communicator world;
  private final Layer layer;
  private final Tensor logits;

  private AuxiliaryLosses(Communicator world, Layer layer) {
    this.world = world;
    this.layer = layer;
    logits = layer.scope.add(Cases.normal(4, DType.F32, layer.tokens, Layer.EXPERTS));
  }

  static void check(Communicator world) {
    for (Load load : Load.values()) {
      try (Layer layer = new Layer(110, DType.F32, load)) {
        AuxiliaryLosses losses = new AuxiliaryLosses(world, layer);
        losses.checkRefusal();
        for (Tensor mask : new Tensor[] {null, losses.mask()}) {
          for (Normalization normalization : Normalization.values()) {
            losses.checkGlobal(mask, global(normalization));
          }
          losses.checkGlobal(mask, Z);
          losses.checkGlobal(
              mask, global(Normalization.SWITCH), Z, global(Normalization.HF_POOLED), Z);
          losses.checkLocal(mask);
          losses.checkSequences(mask);
        }
      }
    }
  }

  private static BalanceLoss global(Normalization normalization) {
    return new BalanceLoss(0.01, normalization, Scope.GLOBAL_BATCH);
  }

  /** Two tokens of three; of the third rank none. */
  private Tensor mask() {
    int[] counted = new int[layer.tokens];
    boolean third = world.size() > 2;
    for (int t = 0; t < counted.length; t++) {
      boolean ofThird =
          third && t >= layer.first(2, world.size()) && t < layer.first(3, world.size());
      counted[t] = t % 3 == 0 || ofThird ? 0 : 1;
    }
    return layer.scope.add(Tensor.of(counted, counted.length));
  }

  private void checkGlobal(@Nullable Tensor mask, LossTerm... terms) {
    Tensor whole = layer.scope.allocate(DType.F32, logits.shape());
    LossValues expected = AuxLoss.of(terms).evaluate(all(mask), List.of(whole));
    Tensor gradient = layer.scope.allocate(DType.F32, mine(logits).shape());
    LossValues local = overRanks(terms).evaluate(own(mask), List.of(gradient));
    double[] sums = new double[terms.length + 1];
    for (int i = 0; i < terms.length; i++) {
      sums[i] = local.values().get(i);
    }
    sums[terms.length] = local.total();
    sums = summed(sums);
    for (int i = 0; i < terms.length; i++) {
      assertClose(sums[i], expected.values().get(i));
    }
    assertClose(sums[terms.length], expected.total());
    Closeness.assertWithin("gradient", gradient.toDoubles(), mine(whole).toDoubles(), 1e-9);
  }

  /** A rank with a logit that is no number makes none wait; all can go on. */
  private void checkRefusal() {
    RouterBatch good = own(null);
    Tensor broken = layer.scope.allocate(DType.F32, mine(logits).shape());
    broken.copyFrom(mine(logits));
    boolean first = world.rank() == 0;
    if (first) {
      broken.accessor().set(0, Double.NaN);
    }
    RouterBatch batch = RouterBatch.of(List.of(broken), good.index());
    assertThatThrownBy(() -> overRanks(Z).evaluate(batch, null))
        .isInstanceOf(first ? IllegalArgumentException.class : RankMismatchException.class)
        .hasMessageContaining(
            first ? "routerLogits[0], token 0" : "1 of the ranks refused their batch");
    assertThat(overRanks(Z).evaluate(good, null).total()).isGreaterThanOrEqualTo(0);
  }

  /** Beside a global term, a local one is that of the rank alone; 0 without tokens that count. */
  private void checkLocal(@Nullable Tensor mask) {
    RouterBatch batch = own(mask);
    LossTerm[] terms = {BalanceLoss.of(1), new ZLoss(1)};
    LossValues got = overRanks(terms[0], terms[1], Z).evaluate(batch, null);
    if (live(bounds(world.rank()), mask) == 0) {
      assertThat(got.values()).containsExactly(0.0, 0.0, 0.0);
    } else {
      assertThat(got.values().subList(0, 2))
          .isEqualTo(AuxLoss.of(terms).evaluate(batch, null).values());
    }
  }

  /** The mean over sequences, of each rank weighed by how many it has, is that of all. */
  private void checkSequences(@Nullable Tensor mask) {
    BalanceLoss sequences = BalanceLoss.of(1).withScope(Scope.SEQUENCE);
    int[] every =
        IntStream.concat(
                IntStream.of(0),
                IntStream.range(0, world.size())
                    .flatMap(rank -> IntStream.of(bounds(rank)).skip(1)))
            .toArray();
    double expected =
        AuxLoss.of(sequences).evaluate(all(mask).withOffsets(tensor(every)), null).total();
    int[] bounds = bounds(world.rank());
    int[] shifted = IntStream.of(bounds).map(bound -> bound - bounds[0]).toArray();
    RouterBatch batch = own(mask).withOffsets(tensor(shifted));
    double value = overRanks(sequences, Z).evaluate(batch, null).values().get(0);
    double[] sums = summed(value * live(bounds, mask), live(bounds, mask));
    assertThat(sums[1]).isEqualTo(live(every, mask));
    assertClose(sums[0] / sums[1], expected);
  }

  /** Where the three sequences of a rank begin and end among all tokens. */
  private int[] bounds(int rank) {
    int from = layer.first(rank, world.size());
    int tokens = layer.first(rank + 1, world.size()) - from;
    return new int[] {from, from + tokens / 3, from + tokens / 2, from + tokens};
  }

  /** Sequences that have a token that counts. */
  private static int live(int[] bounds, @Nullable Tensor mask) {
    return (int)
        IntStream.range(1, bounds.length)
            .filter(
                i ->
                    IntStream.range(bounds[i - 1], bounds[i])
                        .anyMatch(t -> mask == null || mask.accessor().getLong(t) != 0))
            .count();
  }

  private AuxLoss overRanks(LossTerm... terms) {
    return AuxLoss.of(terms).withRanks(SumOverRanks.over(world));
  }

  private RouterBatch all(@Nullable Tensor mask) {
    return RouterBatch.of(List.of(logits), List.of(layer.index)).withMask(mask);
  }

  private RouterBatch own(@Nullable Tensor mask) {
    return RouterBatch.of(List.of(mine(logits)), List.of(mine(layer.index)))
        .withMask(mask == null ? null : mine(mask));
  }

  private Tensor mine(Tensor rows) {
    return layer.part(rows, world.rank(), world.size());
  }

  private Tensor tensor(int[] values) {
    return layer.scope.add(Tensor.of(values, values.length));
  }

  private double[] summed(double... values) {
    try (Tensor sums = Tensor.of(values, values.length)) {
      world.allReduceSum(sums);
      return sums.toDoubles();
    }
  }

  private static void assertClose(double got, double expected) {
    assertThat(expected).isPositive();
    assertThat(got).isCloseTo(expected, within(1e-6 * expected));
  }
}
