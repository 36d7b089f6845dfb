package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PivotDetectorTest {
  private static final int WIDTH = 40;

  private static void plant(Tensor hidden, long token, long channel, double value) {
    hidden.accessor().set(token * WIDTH + channel, value);
  }

  /** As massive activations lie: a few tokens, several channels each. */
  private static Tensor hidden(int tokens) {
    Tensor hidden = Cases.normal(1, DType.F32, tokens, WIDTH);
    plant(hidden, 0, 14, 900);
    plant(hidden, 0, 25, -950);
    plant(hidden, 110, 14, -1200);
    plant(hidden, 110, 25, 1100);
    plant(hidden, 77, 3, 60);
    return hidden;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 64, 200})
  void plantedTokensAreFoundOnceUnderAnyChunking(int chunk) {
    try (Tensor hidden = hidden(200)) {
      PivotDetector detector = new PivotDetector(3);
      for (int from = 0; from < 200; from += chunk) {
        detector.add(hidden.narrow(0, from, Math.min(chunk, 200 - from)), from);
      }
      assertThat(detector.pivots()).containsExactly(0, 77, 110);
    }
  }

  /** Width and channels of the specification's example, as one layer after the other sees them. */
  @Test
  void massiveChannelsAreFoundInEveryLayer() {
    for (int layer = 0; layer < 4; layer++) {
      try (Tensor hidden = Cases.normal(layer, DType.BF16, 300, 2600)) {
        long[] at = {0, 110};
        int[] channels = {1415, 2533};
        for (int i = 0; i < 2; i++) {
          hidden.accessor().set(at[i] * 2600 + channels[i], (i == 0 ? -1 : 1) * (90 + 300 * layer));
          hidden.accessor().set(at[i] * 2600 + channels[1 - i], 80); // the same token, once
        }
        PivotDetector two = new PivotDetector(2);
        PivotDetector fifteen = new PivotDetector(15);
        for (int from = 0; from < 300; from += 77) {
          Tensor rows = hidden.narrow(0, from, Math.min(77, 300 - from));
          two.add(rows, from);
          fifteen.add(rows, from);
        }
        assertThat(two.pivots()).as("layer %s", layer).containsExactly(at);
        assertThat(fifteen.pivots()).hasSize(15).doesNotHaveDuplicates().contains(at);
      }
    }
  }

  @Test
  void thereAreAsManyAsWantedAndTheGreatestFirst() {
    try (Tensor hidden = hidden(200)) {
      PivotDetector fifteen = new PivotDetector(15);
      fifteen.add(hidden, 0);
      assertThat(fifteen.pivots()).hasSize(15).contains(0, 77, 110).isSorted();
      PivotDetector one = new PivotDetector(1);
      one.add(hidden, 0);
      assertThat(one.pivots()).containsExactly(110);
      PivotDetector none = new PivotDetector(0);
      none.add(hidden, 0);
      assertThat(none.pivots()).isEmpty();
    }
  }

  @Test
  void amongEqualsTheEarlierGoesFirst() {
    try (Tensor hidden = Tensor.of(new float[] {1, 2, -2, 2, 1}, 5, 1)) {
      PivotDetector detector = new PivotDetector(2);
      detector.add(hidden, 10);
      assertThat(detector.pivots()).containsExactly(11, 12);
    }
  }

  /** A batch padded to one length gives what its sequences give alone. */
  @Test
  void paddingIsNotRead() {
    try (Tensor alone = hidden(120);
        Tensor padded = Tensor.allocate(DType.F32, 200, WIDTH)) {
      padded.narrow(0, 0, 120).copyFrom(alone);
      for (int t = 120; t < 200; t++) {
        plant(padded, t, 0, t % 2 == 0 ? 1e6 : Double.NaN);
      }
      PivotDetector expected = new PivotDetector(15);
      expected.add(alone, 0);
      PivotDetector detector = new PivotDetector(15);
      detector.add(padded, 0, token -> token >= 120);
      assertThat(detector.pivots()).isEqualTo(expected.pivots());
    }
  }

  @Test
  void badInput() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new PivotDetector(-1))
        .withMessage("k: expected >= 0, got -1");
    try (Tensor hidden = hidden(120)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> new PivotDetector(1).add(hidden, -1))
          .withMessage("first: expected >= 0, got -1");
      plant(hidden, 5, 7, Double.POSITIVE_INFINITY);
      assertThatExceptionOfType(NonFiniteInputException.class)
          .isThrownBy(() -> new PivotDetector(1).add(hidden, 100))
          .withMessageStartingWith("hidden, token 105, channel 7: ");
    }
  }
}
