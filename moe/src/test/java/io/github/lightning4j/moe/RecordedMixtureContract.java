package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A mixture with its router in a {@link Recording}: the bits of the calls, whatever is routed. */
abstract class RecordedMixtureContract {
  abstract MixtureOfExperts experts();

  abstract SharedExpert sharedExpert();

  abstract Router router();

  @Test
  void followsWhateverIsRouted() {
    for (int tokens : new int[] {1, 2, 7, 16}) {
      for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
        try (Mixture m = new Mixture(tokens, 65, 48, 6, 2, dtype)) {
          check(m, m.weights);
        }
      }
      for (QuantFormat format : new QuantFormat[] {QuantFormat.int8(32), QuantFormat.int4(64)}) {
        try (Mixture m = new Mixture(tokens, 65, 48, 6, 2, DType.BF16);
            QuantizedExpertWeights weights = QuantizedExpertWeights.quantize(m.weights, format)) {
          check(m, weights);
        }
      }
    }
  }

  private void check(Mixture m, Experts weights) {
    Tensor gate = m.normal(DType.F32, 0.3, m.experts, m.hidden);
    Tensor logits = m.normal(DType.F32, 1, m.tokens, m.experts);
    Tensor coefficient = m.normal(DType.F32, 0.1, 1, m.hidden);
    try (MoeWorkspace direct = new MoeWorkspace();
        MoeWorkspace recorded = new MoeWorkspace();
        Mixture shared = new Mixture(1, m.hidden, 200, 1, 1, DType.BF16)) {
      SharedWeights all =
          new SharedWeights(
              shared.weights.gate().get(0),
              shared.weights.up().get(0),
              shared.weights.down().get(0),
              coefficient);
      run(m, weights, gate, logits, all, recorded); // scratch memory has its size
      Recording recording = Recording.of(() -> run(m, weights, gate, logits, all, recorded));
      Random random = new Random(9);
      for (int i = 0; i < 6; i++) {
        for (long e = 0; e < m.x.elements(); e++) {
          m.x.accessor().set(e, random.nextGaussian());
        }
        run(m, weights, gate, logits, all, direct);
        float[] expected = m.out.toFloats();
        int[] counts = direct.plan().counts();
        // A workspace may serve other calls in between.
        sharedExpert().combine(m.x.narrow(0, 0, 1), all, recorded, m.out.narrow(0, 0, 1));
        m.out.accessor().set(0, Double.NaN);
        recording.run();
        assertThat(m.out.toFloats()).isEqualTo(expected);
        assertThat(recorded.plan().counts()).isEqualTo(counts);
      }
    }
  }

  private void run(
      Mixture m,
      Experts weights,
      Tensor gate,
      Tensor logits,
      SharedWeights shared,
      MoeWorkspace workspace) {
    Gemm.best().multiply(m.x, gate, logits);
    router().route(logits, m.slots, m.index, m.weight);
    experts().forward(m.x, weights, m.index, m.weight, workspace, m.out);
    sharedExpert().combine(m.x, shared, workspace, m.out);
  }

  @Test
  void refusesPlansOfTheCallerAndCallsBeyondTheKernelsOfFewTokens() {
    try (Mixture m = new Mixture(9, 16, 16, 4, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(m.index, 4);
      assertThatThrownBy(
              () ->
                  Recording.of(
                      () -> experts().forward(m.x, m.weights, plan, m.weight, workspace, m.out)))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("record an index");
      Recording recording = Recording.of(() -> m.run(experts(), workspace));
      recording.run();
      m.index.accessor().setLong(3, 4);
      assertThatThrownBy(recording::run)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("4");
    }
  }

  @Test
  void logitsThatAreNotNumbersFailEachRunThatMeetsThem() {
    try (Mixture m = new Mixture(3, 16, 16, 4, 2, DType.F32)) {
      Tensor logits = m.normal(DType.F32, 1, 3, 4);
      Recording recording = Recording.of(() -> router().route(logits, 2, m.index, m.weight));
      recording.run();
      logits.accessor().set(5, Double.NaN);
      for (int i = 0; i < 2; i++) {
        assertThatThrownBy(recording::run)
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("logits[1]");
      }
      logits.accessor().set(5, 1);
      recording.run();
    }
  }
}
