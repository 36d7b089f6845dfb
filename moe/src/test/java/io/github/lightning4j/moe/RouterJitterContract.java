package io.github.lightning4j.moe;

import static io.github.lightning4j.moe.RouterOptionsContract.refused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What every implementation of {@link Router#jitter} must do. */
abstract class RouterJitterContract {
  abstract Router router();

  /** The noise itself: jitter of ones. */
  private float[] noise(int tokens, int hidden, double amount, long seed) {
    try (MemoryScope scope = new MemoryScope()) {
      float[] ones = new float[tokens * hidden];
      Arrays.fill(ones, 1);
      Tensor x = scope.add(Tensor.of(ones, tokens, hidden));
      router().jitter(x, amount, seed, x);
      return x.toFloats();
    }
  }

  @Test
  void isUniform() {
    double amount = 0.25;
    double mean = 0;
    double square = 0;
    double neighbours = 0;
    float[] noise = noise(300, 257, amount, 5);
    for (int i = 0; i < noise.length; i++) {
      double u = (noise[i] - 1) / amount;
      assertThat(u).isBetween(-1.0, 1.0);
      mean += u / noise.length;
      square += u * u / noise.length;
      neighbours += i == 0 ? 0 : u * (noise[i - 1] - 1) / amount / noise.length;
    }
    // five standard deviations of 77,100 draws
    assertThat(mean).isCloseTo(0, within(5 * Math.sqrt(1.0 / 3 / noise.length)));
    assertThat(square).isCloseTo(1.0 / 3, within(5 * Math.sqrt(4.0 / 45 / noise.length)));
    assertThat(neighbours).isCloseTo(0, within(5.0 / 3 / Math.sqrt(noise.length)));
  }

  @Test
  void dependsOnSeedRowAndColumnAlone() {
    float[] wide = noise(3, 40, 0.1, 7);
    float[] narrow = noise(2, 17, 0.1, 7);
    for (int t = 0; t < 2; t++) {
      assertThat(Arrays.copyOfRange(narrow, t * 17, t * 17 + 17))
          .isEqualTo(Arrays.copyOfRange(wide, t * 40, t * 40 + 17));
    }
    assertThat(noise(3, 40, 0.1, 8)).isNotEqualTo(wide);
    assertThat(noise(3, 40, 0, 7)).containsOnly(1);
  }

  @Test
  void keepsItsNoiseFromVersionToVersion() {
    double[] u = {0.61635482, 0.54096776, 0.14426732};
    float[] noise = noise(1, 3, 0.5, 42);
    for (int i = 0; i < 3; i++) {
      assertThat((double) noise[i]).isCloseTo(0.5 + u[i], within(1e-6));
    }
  }

  @Test
  void isTheReferenceOverStridesWithAnyNumberOfThreads() {
    int before = Threads.count();
    for (int hidden : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(hidden, DType.F32, 300, hidden + 5)).narrow(1, 2, hidden);
        Tensor out = scope.allocate(DType.F32, 300, hidden + 3).narrow(1, 1, hidden);
        Tensor alone = scope.allocate(DType.F32, 300, hidden);
        Tensor reference = scope.allocate(DType.F32, 300, hidden);
        Threads.use(4);
        router().jitter(x, 0.3, -1, out);
        Threads.use(1);
        router().jitter(x, 0.3, -1, alone);
        assertThat(out.toFloats()).isEqualTo(alone.toFloats());
        Router.of(Backend.REFERENCE).jitter(x, 0.3, -1, reference);
        Closeness.assertNmse("jitter of " + hidden, out, reference, 1e-12);
      } finally {
        Threads.use(before);
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 3, 4);
      refused("amount: expected 0 <= amount < 1, got 1.0", () -> router().jitter(x, 1, 0, x));
      refused("amount: expected", () -> router().jitter(x, Double.NaN, 0, x));
      refused(
          "outX: expected shape [3, 4], got [2, 4]",
          () -> router().jitter(x, 0.1, 0, x.narrow(0, 0, 2)));
      refused(
          "outX: must not overlap x",
          () -> router().jitter(x.narrow(0, 0, 2), 0.1, 0, x.narrow(0, 1, 2)));
      refused(
          "x: expected dtype F32, got BF16",
          () -> router().jitter(scope.allocate(DType.BF16, 3, 4), 0.1, 0, x));
    }
  }
}
