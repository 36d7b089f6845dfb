package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link MixtureOfExperts#forward} must do. */
abstract class MixtureOfExpertsContract {
  static final int[] TOKENS = {1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 129, 257};
  static final int[] WIDTHS = {1, 3, 24, 33, 64, 128, 192};
  private static final int[][] EXPERTS = {
    {1, 1}, {4, 1}, {4, 2}, {4, 4}, {8, 1}, {8, 2}, {8, 8}, {32, 1}, {32, 2}, {32, 32}
  };

  abstract MixtureOfExperts experts();

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesForEveryNumberOfTokens(DType dtype) {
    for (int tokens : TOKENS) {
      check(tokens, 33, 24, 4, 2, dtype);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesForEveryWidth(DType dtype) {
    for (int hidden : WIDTHS) {
      for (int inner : WIDTHS) {
        check(5, hidden, inner, 4, 2, dtype);
        check(37, hidden, inner, 1, 1, dtype);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesForEveryNumberOfExperts(DType dtype) {
    for (int[] pair : EXPERTS) {
      for (int tokens : new int[] {1, 9, 65}) {
        check(tokens, 24, 33, pair[0], pair[1], dtype);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesBeyondABlockOfRowsColumnsAndTokens(DType dtype) {
    check(300, 531, 277, 1, 1, dtype);
    check(200, 195, 213, 4, 2, dtype);
  }

  @Test
  void agreesWithDoublesBeyondAWaveOfPairs() {
    check(4200, 9, 5, 1, 1, DType.BF16);
    check(2500, 9, 5, 4, 2, DType.BF16);
  }

  private void check(int tokens, int hidden, int inner, int experts, int k, DType dtype) {
    try (Mixture mixture = new Mixture(tokens, hidden, inner, experts, k, dtype);
        MoeWorkspace workspace = new MoeWorkspace()) {
      mixture.run(experts(), workspace);
      String what =
          String.format("%s T=%d H=%d I=%d E=%d k=%d", dtype, tokens, hidden, inner, experts, k);
      Closeness.assertNmse(what, mixture.out.toDoubles(), mixture.truth(), 1e-10);
    }
  }

  @Test
  void answersFewAndManyTokensAlike() {
    // 12 tokens an expert are streamed; the same rows three times over run as grouped products.
    try (Mixture few = new Mixture(12, 192, 128, 1, 1, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace();
        Tensor rows = Tensor.allocate(DType.F32, 36, 192);
        Tensor index = Tensor.allocate(DType.I32, 36, 1);
        Tensor weight = Tensor.allocate(DType.F32, 36, 1);
        Tensor out = Tensor.allocate(DType.F32, 36, 192)) {
      for (int copy = 0; copy < 3; copy++) {
        rows.narrow(0, copy * 12L, 12).copyFrom(few.x);
        weight.narrow(0, copy * 12L, 12).copyFrom(few.weight);
      }
      few.run(experts(), workspace);
      experts().forward(rows, few.weights, index, weight, workspace, out);
      for (int copy = 0; copy < 3; copy++) {
        double[] part = out.narrow(0, copy * 12L, 12).toDoubles();
        Closeness.assertNmse("copy " + copy, part, few.out.toDoubles(), 1e-10);
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MoeWorkspace workspace = new MoeWorkspace()) {
      for (int tokens : new int[] {1, 9, 65}) {
        for (DType dtype : List.of(DType.F32, DType.BF16)) {
          try (Mixture mixture = new Mixture(tokens, 195, 213, 4, 2, dtype)) {
            Threads.use(1);
            float[] one = mixture.run(experts(), workspace);
            for (int threads : new int[] {2, 4}) {
              Threads.use(threads);
              float[] more = mixture.run(experts(), workspace);
              assertThat(more).as("%s tokens, %s threads", tokens, threads).isEqualTo(one);
            }
          }
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void doesNotCareHowExpertsAreNumbered() {
    for (int tokens : new int[] {3, 65}) {
      try (Mixture mixture = new Mixture(tokens, 33, 24, 8, 2, DType.F32);
          MoeWorkspace workspace = new MoeWorkspace()) {
        float[] plain = mixture.run(experts(), workspace);
        List<Integer> order = new ArrayList<>(List.of(0, 1, 2, 3, 4, 5, 6, 7));
        Collections.shuffle(order, new Random(3));
        ExpertWeights shuffled =
            new ExpertWeights(
                order.stream().map(mixture.weights.gate()::get).toList(),
                order.stream().map(mixture.weights.up()::get).toList(),
                order.stream().map(mixture.weights.down()::get).toList());
        int[] renamed =
            Arrays.stream(mixture.index.toLongs()).mapToInt(e -> order.indexOf((int) e)).toArray();
        try (Tensor index = Tensor.of(renamed, tokens, 2)) {
          experts().forward(mixture.x, shuffled, index, mixture.weight, workspace, mixture.out);
        }
        assertThat(mixture.out.toFloats()).isEqualTo(plain);
      }
    }
  }

  @Test
  void sendsAllTokensToOneExpertIfSoRouted() {
    for (int tokens : new int[] {5, 16, 17, 65}) {
      try (Mixture mixture = new Mixture(tokens, 33, 24, 4, 1, DType.F32);
          MoeWorkspace workspace = new MoeWorkspace()) {
        for (int t = 0; t < tokens; t++) {
          mixture.choose(t, 0, 2, 0.75);
        }
        mixture.run(experts(), workspace);
        assertThat(workspace.plan().counts()).containsExactly(0, 0, tokens, 0);
        Closeness.assertNmse("one expert", mixture.out.toDoubles(), mixture.truth(), 1e-10);
      }
    }
  }

  @Test
  void mixesExpertsOfFewAndOfManyTokens() {
    try (Mixture mixture = new Mixture(40, 33, 24, 4, 2, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      for (int t = 0; t < 40; t++) {
        mixture.choose(t, 0, t < 37 ? 1 : 3, 0.5);
        mixture.choose(t, 1, t < 20 ? 2 : 0, 0.25);
      }
      mixture.run(experts(), workspace);
      assertThat(workspace.plan().counts()).containsExactly(20, 37, 20, 3);
      Closeness.assertNmse("mixed", mixture.out.toDoubles(), mixture.truth(), 1e-10);
    }
  }

  @Test
  void takesFusedWeightsAndRowStrides() {
    for (int tokens : new int[] {4, 70}) {
      try (Mixture mixture = new Mixture(tokens, 24, 33, 4, 2, DType.BF16);
          MoeWorkspace workspace = new MoeWorkspace()) {
        Tensor gateUp = mixture.scope.allocate(DType.BF16, 4, 66, 24);
        Tensor down = mixture.scope.allocate(DType.BF16, 4, 24, 33);
        for (int e = 0; e < 4; e++) {
          gateUp.select(0, e).narrow(0, 0, 33).copyFrom(mixture.weights.gate().get(e));
          gateUp.select(0, e).narrow(0, 33, 33).copyFrom(mixture.weights.up().get(e));
          down.select(0, e).copyFrom(mixture.weights.down().get(e));
        }
        float[] plain = mixture.run(experts(), workspace);
        Tensor x = mixture.scope.allocate(DType.F32, tokens, 30).narrow(1, 5, 24);
        x.copyFrom(mixture.x);
        Tensor index = mixture.scope.allocate(DType.I32, tokens, 5).narrow(1, 2, 2);
        index.copyFrom(mixture.index);
        Tensor weight = mixture.scope.allocate(DType.F32, tokens, 3).narrow(1, 1, 2);
        weight.copyFrom(mixture.weight);
        Tensor out = mixture.scope.allocate(DType.F32, tokens, 41).narrow(1, 9, 24);
        ExpertWeights fused = ExpertWeights.ofFused(gateUp, down);
        experts().forward(x, fused, index, weight, workspace, out);
        assertThat(out.toFloats()).isEqualTo(plain);
      }
    }
  }

  @Test
  void keepsNotANumberInItsToken() {
    for (int tokens : new int[] {4, 70}) {
      try (Mixture mixture = new Mixture(tokens, 24, 33, 2, 2, DType.F32);
          MoeWorkspace workspace = new MoeWorkspace()) {
        float[] plain = mixture.run(experts(), workspace);
        mixture.x.accessor().set(2 * 24 + 7, Double.NaN);
        float[] out = mixture.run(experts(), workspace);
        for (int i = 0; i < out.length; i++) {
          if (i / 24 == 2) {
            assertThat(out[i]).isNaN();
          } else {
            assertThat(out[i]).isEqualTo(plain[i]);
          }
        }
      }
    }
  }

  @Test
  void takesNoTokens() {
    try (Mixture mixture = new Mixture(0, 24, 33, 2, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      assertThat(mixture.run(experts(), workspace)).isEmpty();
      assertThat(workspace.plan().counts()).containsExactly(0, 0);
    }
  }

  @Test
  void allocatesNothingOutsideTheHeapOnceWarm() {
    try (Mixture large = new Mixture(40, 24, 16, 2, 1, DType.BF16);
        Mixture small = new Mixture(1, 24, 16, 2, 1, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      large.run(experts(), workspace);
      small.run(experts(), workspace);
      long held = workspace.bytes();
      long live = Memory.liveBytes();
      for (int i = 0; i < 100; i++) {
        large.run(experts(), workspace);
        small.run(experts(), workspace);
        assertThat(Memory.liveBytes()).isEqualTo(live);
      }
      assertThat(workspace.bytes()).isEqualTo(held);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Mixture mixture = new Mixture(2, 9, 5, 4, 2, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      FlatMemory.assertFlat("forward", 10_000, () -> mixture.run(experts(), workspace));
      FlatMemory.assertFlat(
          "forward with a new workspace",
          10_000,
          () -> {
            try (MoeWorkspace own = new MoeWorkspace()) {
              mixture.run(experts(), own);
            }
          });
    }
  }

  @Test
  void anExpertChosenTwiceByATokenAnswersTwice() {
    // More than 16 pairs of one expert from fewer tokens.
    try (Mixture m = new Mixture(9, 33, 24, 4, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      for (int t = 0; t < 9; t++) {
        m.choose(t, 0, 0, 0.4);
        m.choose(t, 1, 0, 0.6);
      }
      m.run(experts(), workspace);
      Closeness.assertNmse("out", m.out.toDoubles(), m.truth(), 1e-10);
    }
  }
}
