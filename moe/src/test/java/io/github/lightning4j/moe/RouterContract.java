package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.Gradients;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What every implementation of {@link Router} must do. */
abstract class RouterContract {
  private static final float NAN = Float.NaN;
  private static final float INF = Float.POSITIVE_INFINITY;

  abstract Router router();

  @Test
  void choosesTheLargestAndRenormalises() {
    for (int tokens : Cases.AWKWARD) {
      for (int experts : new int[] {1, 4, 8, 32, 33}) {
        for (int k : new int[] {1, Math.min(2, experts), experts}) {
          check(tokens, experts, k);
        }
      }
    }
  }

  private void check(int tokens, int experts, int k) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(tokens + experts, DType.F32, tokens, experts));
      Tensor index = scope.allocate(DType.I32, tokens, k);
      Tensor weight = scope.allocate(DType.F32, tokens, k);
      router().route(logits, k, index, weight);
      double[] l = logits.toDoubles();
      long[] chosen = index.toLongs();
      double[] expected = new double[tokens * k];
      for (int t = 0; t < tokens; t++) {
        double total = 0;
        for (int s = 0; s < k; s++) {
          int at = t * experts;
          double here = l[at + (int) chosen[t * k + s]];
          long larger = IntStream.range(0, experts).filter(e -> l[at + e] > here).count();
          assertThat(larger).as("experts before choice %s of token %s", s, t).isEqualTo(s);
          total += expected[t * k + s] = Math.exp(here);
        }
        for (int s = 0; s < k; s++) {
          expected[t * k + s] /= total;
        }
      }
      String what = tokens + "x" + experts + " top " + k;
      Closeness.assertNmse(what, weight.toDoubles(), expected, 1e-12);
    }
  }

  @Test
  void givesTiesToTheLowestIndex() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(new float[] {1, 3, 3, 0, 3, -2, 0, -0f, -0f, 0}, 2, 5));
      Tensor index = scope.allocate(DType.I32, 2, 3);
      Tensor weight = scope.allocate(DType.F32, 2, 3);
      router().route(logits, 3, index, weight);
      assertThat(index.toLongs()).containsExactly(1, 2, 4, 1, 2, 3);
      assertThat(weight.toFloats()).containsOnly(1f / 3);
    }
  }

  @Test
  void staysExactForLogitsOfAnySize() {
    try (MemoryScope scope = new MemoryScope()) {
      float[] values = {3e38f, -3e38f, 2e38f, 0, 1e-30f, 2e-30f, 3e-30f, 0, -INF, 5, -INF, -INF};
      Tensor logits = scope.add(Tensor.of(values, 3, 4));
      Tensor index = scope.allocate(DType.I32, 3, 2);
      Tensor weight = scope.allocate(DType.F32, 3, 2);
      router().route(logits, 2, index, weight);
      assertThat(index.toLongs()).containsExactly(0, 2, 2, 1, 1, 0);
      assertThat(weight.toFloats()).containsExactly(1, 0, 0.5f, 0.5f, 1, 0);
    }
  }

  @Test
  void refusesLogitsWithoutSoftmaxAndNamesTheToken() {
    for (float[] bad : new float[][] {{0, NAN, 1}, {INF, 0, 1}, {-INF, -INF, -INF}}) {
      try (MemoryScope scope = new MemoryScope()) {
        int tokens = 20_000;
        Tensor logits = scope.allocate(DType.F32, tokens, 3);
        for (int row : new int[] {15_000, 7}) {
          for (int e = 0; e < 3; e++) {
            logits.accessor().set(row * 3L + e, bad[e]);
          }
        }
        Tensor index = scope.allocate(DType.I32, tokens, 1);
        Tensor weight = scope.allocate(DType.F32, tokens, 1);
        assertThatThrownBy(() -> router().route(logits, 1, index, weight))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageStartingWith("logits[7]: expected numbers below infinity")
            .hasMessageEndingWith("got " + Arrays.toString(bad));
      }
    }
  }

  @Test
  void takesRowStrides() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(1, DType.F32, 9, 20)).narrow(1, 3, 8);
      Tensor index = scope.allocate(DType.I32, 9, 5).narrow(1, 1, 2);
      Tensor weight = scope.allocate(DType.F32, 9, 7).narrow(1, 2, 2);
      Tensor dense = scope.add(Tensor.of(logits.toFloats(), 9, 8));
      Tensor denseIndex = scope.allocate(DType.I32, 9, 2);
      Tensor denseWeight = scope.allocate(DType.F32, 9, 2);
      router().route(logits, 2, index, weight);
      router().route(dense, 2, denseIndex, denseWeight);
      assertThat(index.toLongs()).isEqualTo(denseIndex.toLongs());
      assertThat(weight.toFloats()).isEqualTo(denseWeight.toFloats());
      Tensor dWeight = scope.add(Cases.normal(2, DType.F32, 9, 6)).narrow(1, 4, 2);
      Tensor dLogits = scope.allocate(DType.F32, 9, 11).narrow(1, 2, 8);
      Tensor denseDLogits = scope.allocate(DType.F32, 9, 8);
      router().backward(logits, index, dWeight, dLogits);
      Tensor denseDWeight = scope.add(Tensor.of(dWeight.toFloats(), 9, 2));
      router().backward(dense, denseIndex, denseDWeight, denseDLogits);
      assertThat(dLogits.toFloats()).isEqualTo(denseDLogits.toFloats());
    }
  }

  @Test
  void backwardIsTheSlopeOfTheWeights() {
    for (int k : new int[] {1, 2, 6}) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor logits = scope.add(Cases.normal(k, DType.F32, 5, 6));
        Tensor dWeight = scope.add(Cases.normal(k + 9, DType.F32, 5, k));
        Tensor index = scope.allocate(DType.I32, 5, k);
        Tensor weight = scope.allocate(DType.F32, 5, k);
        Tensor gradient = scope.add(Cases.normal(3, DType.F32, 5, 6));
        router().route(logits, k, index, weight);
        router().backward(logits, index, dWeight, gradient);
        long[] chosen = index.toLongs();
        double[] d = dWeight.toDoubles();
        Gradients.assertMatches(
            "dlogits, k = " + k,
            l -> weighted(l, chosen, d, k),
            logits.toDoubles(),
            gradient.toDoubles(),
            30,
            1e-6);
      }
    }
  }

  /** The sum of d times the weights, for a fixed choice of k among 6. */
  private static double weighted(double[] logits, long[] chosen, double[] d, int k) {
    double sum = 0;
    for (int t = 0; t < chosen.length / k; t++) {
      double total = 0;
      double part = 0;
      for (int s = t * k; s < t * k + k; s++) {
        double p = Math.exp(logits[t * 6 + (int) chosen[s]]);
        total += p;
        part += p * d[s];
      }
      sum += part / total;
    }
    return sum;
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(4, DType.F32, 4000, 32));
      Tensor index = scope.allocate(DType.I32, 4000, 2);
      Tensor weight = scope.allocate(DType.F32, 4000, 2);
      Threads.use(1);
      router().route(logits, 2, index, weight);
      long[] chosen = index.toLongs();
      float[] shares = weight.toFloats();
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        router().route(logits, 2, index, weight);
        assertThat(index.toLongs()).isEqualTo(chosen);
        assertThat(weight.toFloats()).isEqualTo(shares);
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(5, DType.F32, 2, 8));
      Tensor index = scope.allocate(DType.I32, 2, 2);
      Tensor weight = scope.allocate(DType.F32, 2, 2);
      Tensor gradient = scope.allocate(DType.F32, 2, 8);
      FlatMemory.assertFlat(
          "router",
          10_000,
          () -> {
            router().route(logits, 2, index, weight);
            router().backward(logits, index, weight, gradient);
          });
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 2, 4);
      Tensor index = scope.allocate(DType.I32, 2, 2);
      Tensor weight = scope.allocate(DType.F32, 2, 2);
      refused("k: expected 1 <= k <= 4, got 5", () -> router().route(logits, 5, index, weight));
      refused("k: expected 1 <= k <= 4, got 0", () -> router().route(logits, 0, index, weight));
      refused(
          "outIndex: expected shape [2, 3], got [2, 2]",
          () -> router().route(logits, 3, index, weight));
      refused(
          "outIndex: expected dtype I32, got F32", () -> router().route(logits, 2, weight, weight));
      refused(
          "outWeight: expected dtype F32, got I32", () -> router().route(logits, 2, index, index));
      refused(
          "outWeight: must not overlap logits",
          () -> router().route(logits, 2, index, logits.narrow(1, 0, 2)));
      refused("logits: expected dtype F32, got I32", () -> router().route(index, 2, index, weight));
      refused(
          "logits: expected 2 dimensions, got shape [4]",
          () -> router().route(logits.select(0, 0), 2, index, weight));
    }
  }

  @Test
  void backwardRefusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 2, 4);
      Tensor index = scope.add(Tensor.of(new int[] {0, 1, 2, 4}, 2, 2));
      Tensor weight = scope.allocate(DType.F32, 2, 2);
      Tensor out = scope.allocate(DType.F32, 2, 4);
      refused(
          "index[1, 1]: expected 0 <= expert < 4, got 4",
          () -> router().backward(logits, index, weight, out));
      index.accessor().setLong(3, 3);
      refused(
          "dWeight: expected shape [2, 2], got [2, 4]",
          () -> router().backward(logits, index, out, out));
      refused(
          "outDLogits: expected shape [2, 4], got [2, 2]",
          () -> router().backward(logits, index, weight, weight));
      refused(
          "outDLogits: must not overlap logits",
          () -> router().backward(logits, index, weight, logits));
    }
  }

  @Test
  void refusesClosedTensors() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = Tensor.allocate(DType.F32, 2, 4);
      logits.close();
      Tensor index = scope.allocate(DType.I32, 2, 2);
      Tensor weight = scope.allocate(DType.F32, 2, 2);
      assertThatThrownBy(() -> router().route(logits, 2, index, weight))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
