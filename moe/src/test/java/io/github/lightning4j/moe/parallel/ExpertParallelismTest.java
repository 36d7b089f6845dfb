package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import io.github.lightning4j.moe.parallel.Layer.Load;
import org.junit.jupiter.api.Test;

/** Sizes: which rank has what, and what is said of those that do not fit. */
final class ExpertParallelismTest {
  @Test
  void everyRankHasItsPlace() {
    ExpertParallelism sizes = new ExpertParallelism(3, 2, 4);
    assertThat(sizes.ranks()).isEqualTo(24);
    for (int rank = 0; rank < 24; rank++) {
      int again = (sizes.edpRank(rank) * 3 + sizes.epRank(rank)) * 2 + sizes.etpRank(rank);
      assertThat(again).isEqualTo(rank);
    }
  }

  @Test
  void shardsAreViewsOfTheirExperts() {
    ExpertParallelism sizes = new ExpertParallelism(4, 2, 1);
    try (Layer layer = new Layer(1, DType.F32, Load.EVEN)) {
      ExpertWeights shard = sizes.shard(layer.weights, 5); // third EP rank, second half of I
      assertThat(shard.experts()).isEqualTo(2);
      assertThat(shard.gate().get(1).address())
          .isEqualTo(layer.weights.gate().get(5).narrow(0, 16, 16).address());
      assertThat(shard.down().get(0).address())
          .isEqualTo(layer.weights.down().get(4).narrow(1, 16, 16).address());
      ReplicaPlacement placement =
          ReplicaPlacement.flat(new double[] {9, 1, 1, 1, 1, 1, 1, 1}, 12, 4);
      ExpertWeights placed = sizes.shard(layer.weights, 2, placement);
      int[] logical = placement.physicalToLogical();
      for (int slot = 0; slot < 3; slot++) {
        assertThat(placed.up().get(slot).address())
            .isEqualTo(layer.weights.up().get(logical[3 + slot]).address());
      }
    }
  }

  @Test
  void tellsWhichSizesFit() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ExpertParallelism(3, 1, 1).check(8, 32))
        .withMessage("ep: expected a divisor of 8 experts, got 3; these fit: [1, 2, 4, 8]");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ExpertParallelism(2, 3, 1).check(8, 20))
        .withMessageContaining("etp: expected a divisor of the intermediate width 20, got 3")
        .withMessageContaining("these fit: [1, 2, 4, 5, 10, 20]");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ExpertParallelism(2, 2, 1).checkRanks(12))
        .withMessage("world: expected ep x etp x edp = 2 x 2 x 1 = 4 ranks, got 12; edp = 3 fits");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ExpertParallelism(2, 2, 1).checkRanks(6))
        .withMessageContaining("with this ep and etp a multiple of 4 fits");
    assertThatIllegalArgumentException().isThrownBy(() -> new ExpertParallelism(0, 1, 1));
    assertThatIllegalArgumentException().isThrownBy(() -> new ExpertParallelism(1, 0, 1));
    assertThatIllegalArgumentException().isThrownBy(() -> new ExpertParallelism(1, 1, 0));
  }

  @Test
  void optionsAreChecked() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ParallelOptions.DEFAULT.withTokenGroups(0))
        .withMessage("tokenGroups: expected 1 to 64, got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ParallelOptions(1, null, true, null))
        .withMessageContaining("globalRouter: expected a capacity");
    assertThat(ParallelOptions.DEFAULT.withGlobalRouter(Capacity.ofFactor(1)).globalRouter())
        .isTrue();
  }

  @Test
  void everyRankRefusesPartsThatDoNotFit() {
    ThreadCommunicator.run(
        2,
        world -> {
          try (Layer layer = new Layer(1, DType.F32, Load.EVEN)) {
            assertThatIllegalArgumentException()
                .isThrownBy(
                    () ->
                        ParallelExperts.of(
                            world,
                            ExpertParallelism.of(2),
                            Layer.EXPERTS,
                            layer.weights,
                            ParallelOptions.DEFAULT,
                            "layer 0"))
                .withMessageContaining("local: expected the 4 experts of this rank, got 8");
            assertThatIllegalArgumentException()
                .isThrownBy(
                    () ->
                        ParallelExperts.of(
                            world,
                            ExpertParallelism.of(2),
                            Layer.EXPERTS,
                            layer.weights,
                            ParallelOptions.DEFAULT.withPlacement(
                                ReplicaPlacement.flat(new double[8], 8, 4)),
                            "layer 0"))
                .withMessageContaining("placement: expected ep = 2 GPUs, got 4");
          }
        });
  }
}
