package io.github.lightning4j.moe;

import static io.github.lightning4j.moe.RouterOptionsContract.refused;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class ExpertBiasTest {
  @Test
  void movesEveryExpertTowardsTheMean() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor values = scope.add(Tensor.of(new float[] {0, 1, -1}, 3));
      ExpertBias bias = new ExpertBias(values, 0.25);
      Tensor index = scope.add(Tensor.of(new int[] {0, 1, 0, 2, 0, 1}, 3, 2));
      bias.add(index, null); // 3, 2, 1 choices, 2 in the mean
      assertThat(bias.counts()).containsExactly(3, 2, 1);
      bias.update(SumOverRanks.single());
      assertThat(bias.bias().toFloats()).containsExactly(-0.25f, 1, -0.75f);
      assertThat(bias.counts()).containsOnly(0);
    }
  }

  @Test
  void addsUpMicroBatchesAndRanksWithoutMaskedTokens() {
    try (MemoryScope scope = new MemoryScope()) {
      ExpertBias bias = new ExpertBias(scope.allocate(DType.F32, 2), 1);
      Tensor index = scope.add(Tensor.of(new int[] {0, 1, 1}, 3, 1));
      bias.add(index, scope.add(Tensor.of(new int[] {1, 0, 1}, 3)));
      bias.add(index, null);
      assertThat(bias.counts()).containsExactly(2, 3);
      bias.update(
          counts -> {
            assertThat(counts).containsExactly(2, 3);
            counts[0] += 5;
          });
      assertThat(bias.bias().toFloats()).containsExactly(-1, 1);
    }
  }

  @Test
  void evensOutALopsidedRouter() {
    try (MemoryScope scope = new MemoryScope()) {
      int tokens = 512;
      Tensor logits = scope.add(Cases.normal(1, DType.F32, tokens, 8));
      for (int t = 0; t < tokens; t++) {
        logits.accessor().set(t * 8L, logits.accessor().get(t * 8L) + 2);
      }
      Tensor index = scope.allocate(DType.I32, tokens, 2);
      Tensor weight = scope.allocate(DType.F32, tokens, 2);
      ExpertBias bias = new ExpertBias(scope.allocate(DType.F32, 8), 0.01);
      RouterOptions options = RouterOptions.topK(2).withScore(RouterOptions.Score.SIGMOID);
      long first = 0;
      long last = 0;
      for (int step = 0; step < 200; step++) {
        Router.best().route(logits, options, bias.bias(), index, weight);
        bias.add(index, null);
        last = Arrays.stream(bias.counts()).max().orElseThrow();
        first = step == 0 ? last : first;
        bias.update(SumOverRanks.single());
      }
      assertThat(first).isGreaterThan(300);
      assertThat(last).isLessThan(150); // even: 128
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor good = scope.allocate(DType.F32, 2);
      refused("rate: expected a finite number", () -> new ExpertBias(good, -1));
      refused("bias: expected dtype F32", () -> new ExpertBias(scope.allocate(DType.F64, 2), 1));
      Tensor bad = scope.add(Tensor.of(new float[] {0, Float.NaN}, 2));
      refused("bias[1]: expected a finite number, got NaN", () -> new ExpertBias(bad, 1));
      ExpertBias bias = new ExpertBias(good, 1);
      Tensor index = scope.add(Tensor.of(new int[] {0, 2}, 2, 1));
      refused("index[1, 0]: expected 0 <= expert < 2, got 2", () -> bias.add(index, null));
      assertThat(bias.counts()).containsOnly(0);
    }
  }
}
