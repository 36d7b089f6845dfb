package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What every implementation of {@link MixtureOfExperts#forward} must do with quantized weights. */
abstract class QuantizedExpertsContract {
  /** The stated bound against the same experts over dequantized weights, for normal tokens. */
  private static double stated(QuantFormat format) {
    return format.bits() == 8 ? 1e-8 : 1e-3;
  }

  /** The bound with rounded rows: in 8 bits a hidden value near a tie may fall to either side. */
  private static double afterRounding(QuantFormat format) {
    return format.bits() == 8 ? 1e-8 : 1e-6;
  }

  static List<QuantFormat> formats() {
    return List.of(
        QuantFormat.int8(),
        QuantFormat.int8(32),
        QuantFormat.int8(64),
        QuantFormat.int8(128),
        QuantFormat.int4(32),
        QuantFormat.int4(64),
        QuantFormat.int4(128));
  }

  abstract MixtureOfExperts experts();

  abstract SharedExpert sharedExpert();

  /** Whether tokens and hidden rows are rounded to integers. */
  abstract boolean rounds();

  /** The answers with tokens and hidden rows as they are used. */
  private double[] truth(QuantizedMixture mixture) {
    return rounds() ? mixture.roundedTruth() : mixture.truth();
  }

  private void check(int tokens, int hidden, int inner, int experts, int k, QuantFormat format) {
    try (QuantizedMixture mixture =
            new QuantizedMixture(tokens, hidden, inner, experts, k, DType.BF16, format);
        MoeWorkspace workspace = new MoeWorkspace()) {
      mixture.run(experts(), workspace);
      String what =
          String.format("%s T=%d H=%d I=%d E=%d k=%d", format, tokens, hidden, inner, experts, k);
      double[] came = mixture.out.toDoubles();
      Closeness.assertNmse(what, came, truth(mixture), afterRounding(format));
      if (tokens * hidden > 200) {
        Closeness.assertNmse(what, came, mixture.truth(), stated(format));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void agreesWithDoublesForEveryNumberOfTokens(QuantFormat format) {
    for (int tokens : MixtureOfExpertsContract.TOKENS) {
      check(tokens, 97, 72, 4, 2, format);
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void agreesWithDoublesForEveryWidth(QuantFormat format) {
    for (int hidden : MixtureOfExpertsContract.WIDTHS) {
      for (int inner : MixtureOfExpertsContract.WIDTHS) {
        check(5, hidden, inner, 4, 2, format);
      }
    }
    check(3, 1312, 545, 2, 1, format);
    check(37, 257, 129, 1, 1, format);
    check(290, 1100, 61, 1, 1, format);
  }

  @ParameterizedTest
  @MethodSource("formats")
  void answersATokenAlikeInAnyCompany(QuantFormat format) {
    // Up to 16 tokens of an expert are streamed: what a token gets does not depend on the others.
    try (QuantizedMixture many = new QuantizedMixture(13, 97, 65, 1, 1, DType.BF16, format);
        MoeWorkspace workspace = new MoeWorkspace();
        Tensor out = Tensor.allocate(DType.F32, 1, 97)) {
      many.run(experts(), workspace);
      for (int t = 0; t < 13; t++) {
        experts()
            .forward(
                many.x.narrow(0, t, 1),
                many.quantized,
                many.index.narrow(0, t, 1),
                many.weight.narrow(0, t, 1),
                workspace,
                out);
        assertThat(out.toFloats()).isEqualTo(many.out.narrow(0, t, 1).toFloats());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void givesTheSameBitsForAnyNumberOfThreads(QuantFormat format) {
    int before = Threads.count();
    try (MoeWorkspace workspace = new MoeWorkspace()) {
      for (int tokens : new int[] {1, 9, 65}) {
        try (QuantizedMixture mixture =
            new QuantizedMixture(tokens, 195, 213, 4, 2, DType.BF16, format)) {
          Threads.use(1);
          float[] one = mixture.run(experts(), workspace);
          for (int threads : new int[] {2, 4}) {
            Threads.use(threads);
            assertThat(mixture.run(experts(), workspace))
                .as("%s tokens, %s threads", tokens, threads)
                .isEqualTo(one);
          }
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void mixesExpertsOfFewAndOfManyTokens() {
    try (QuantizedMixture mixture =
            new QuantizedMixture(40, 97, 72, 4, 2, DType.BF16, QuantFormat.int4(32));
        MoeWorkspace workspace = new MoeWorkspace()) {
      for (int t = 0; t < 40; t++) {
        mixture.choose(t, 0, t < 37 ? 1 : 3, 0.5);
        mixture.choose(t, 1, t < 20 ? 2 : 0, 0.25);
      }
      mixture.run(experts(), workspace);
      assertThat(workspace.plan().counts()).containsExactly(20, 37, 20, 3);
      Closeness.assertNmse(
          "mixed",
          mixture.out.toDoubles(),
          truth(mixture),
          afterRounding(mixture.quantized.format()));
    }
  }

  @Test
  void leavesOutWhatAPlanDropped() {
    for (int tokens : new int[] {9, 80}) {
      try (QuantizedMixture mixture =
              new QuantizedMixture(tokens, 97, 72, 4, 2, DType.BF16, QuantFormat.int4(64));
          MoeWorkspace workspace = new MoeWorkspace()) {
        DispatchPlan plan = new DispatchPlan();
        plan.build(mixture.index, 4, Capacity.ofFactor(0.8), mixture.weight);
        assertThat(plan.kept()).isLessThan(plan.size());
        experts()
            .forward(mixture.x, mixture.quantized, plan, mixture.weight, workspace, mixture.out);
        for (int pair = 0; pair < plan.size(); pair++) {
          if (plan.position(pair) < 0) {
            mixture.weight.accessor().set(pair, 0);
          }
        }
        Closeness.assertNmse(
            "capacity",
            mixture.out.toDoubles(),
            truth(mixture),
            afterRounding(mixture.quantized.format()));
      }
    }
  }

  @Test
  void keepsNotANumberInItsToken() {
    for (int tokens : new int[] {4, 70}) {
      try (QuantizedMixture mixture =
              new QuantizedMixture(tokens, 33, 40, 2, 2, DType.F32, QuantFormat.int4(32));
          MoeWorkspace workspace = new MoeWorkspace()) {
        float[] plain = mixture.run(experts(), workspace);
        mixture.x.accessor().set(2 * 33 + 7, Double.NaN);
        float[] out = mixture.run(experts(), workspace);
        for (int i = 0; i < out.length; i++) {
          if (i / 33 == 2) {
            assertThat(out[i]).isNaN();
          } else {
            assertThat(out[i]).isEqualTo(plain[i]);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void servesASharedExpert(QuantFormat format) {
    for (int tokens : new int[] {1, 5, 40}) {
      try (QuantizedMixture one = new QuantizedMixture(tokens, 97, 72, 1, 1, DType.BF16, format);
          MoeWorkspace workspace = new MoeWorkspace()) {
        Tensor moe = one.normal(DType.F32, 1, tokens, 97);
        Tensor coefficient = one.normal(DType.BF16, 0.1, 1, 97);
        double[] expected = moe.toDoubles();
        double[] answer = truth(one);
        double[] x = one.x.toDoubles();
        double[] direction = coefficient.toDoubles();
        for (int i = 0; i < expected.length; i++) {
          double along = 0;
          for (int h = 0; h < 97; h++) {
            along += x[i / 97 * 97 + h] * direction[h];
          }
          double c = 1 / (1 + Math.exp(-along));
          expected[i] = expected[i] * (1 - c) + answer[i] * c;
        }
        sharedExpert().combine(one.x, one.quantized, coefficient, workspace, moe);
        Closeness.assertNmse(
            format + " T=" + tokens, moe.toDoubles(), expected, afterRounding(format));
      }
    }
  }

  @Test
  void allocatesNothingOutsideTheHeapOnceWarm() {
    try (QuantizedMixture small =
            new QuantizedMixture(3, 24, 16, 2, 1, DType.BF16, QuantFormat.int8());
        MoeWorkspace workspace = new MoeWorkspace()) {
      small.run(experts(), workspace);
      long live = Memory.liveBytes();
      small.run(experts(), workspace);
      assertThat(Memory.liveBytes()).isEqualTo(live);
      FlatMemory.assertFlat("forward", 10_000, () -> small.run(experts(), workspace));
    }
  }

  private void forward(
      Mixture mixture, Tensor x, QuantizedExpertWeights weights, MoeWorkspace workspace) {
    experts().forward(x, weights, mixture.index, mixture.weight, workspace, mixture.out);
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (Mixture mixture = new Mixture(2, 6, 5, 3, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      QuantizedExpertWeights weights =
          QuantizedExpertWeights.quantize(mixture.weights, QuantFormat.int8());
      MixtureGradients g = new MixtureGradients(mixture);
      assertThatThrownBy(
              () ->
                  experts()
                      .backward(
                          mixture.x,
                          weights,
                          mixture.index,
                          mixture.weight,
                          g.dOut,
                          g.dx,
                          g.dWeight,
                          g.dGate,
                          g.dUp,
                          g.dDown))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("weights: quantized experts have no gradients");
      assertThatThrownBy(() -> forward(mixture, mixture.x.narrow(1, 0, 5), weights, workspace))
          .hasMessage("x: expected shape [2, 6], got [2, 5]");
      Tensor coefficient = mixture.scope.allocate(DType.F32, 1, 6);
      assertThatThrownBy(
              () -> sharedExpert().combine(mixture.x, weights, coefficient, workspace, mixture.out))
          .hasMessage("expert: expected one expert, got 3");
      mixture.weights.up().get(1).accessor().set(8, Double.NaN);
      assertThatThrownBy(() -> QuantizedExpertWeights.quantize(mixture.weights, QuantFormat.int8()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("up[1]: w[1, 2]: expected a finite weight, got NaN");
      weights.close();
      assertThatThrownBy(() -> forward(mixture, mixture.x, weights, workspace))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(weights::close)
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("quantized experts are closed already");
    }
  }
}
