package io.github.lightning4j.kvquant.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.GoldenCase;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class MassiveActivationsTest {
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor hidden(DType dtype, int tokens, int width) {
    return scope.add(Cases.normal(tokens, dtype, tokens, width));
  }

  private static void plant(Tensor hidden, long token, long channel, double value) {
    hidden.accessor().set(token * hidden.stride(0) + channel, value);
  }

  @Test
  void findsPlantedActivations() {
    for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F16}) {
      Tensor hidden = hidden(dtype, 130, 2600);
      for (int layer = 0; layer < 3; layer++) {
        plant(hidden, 0, 1415, -900 - layer);
        plant(hidden, 110, 2533, 700 + layer);
        var sinks = new MassiveActivations(2);
        sinks.add(hidden, 0);
        assertThat(sinks.tokens()).containsExactly(0, 110);
      }
    }
  }

  @Test
  void severalChannelsOfATokenAreOneSink() {
    Tensor hidden = hidden(DType.F32, 50, 64);
    for (int c = 0; c < 19; c++) {
      plant(hidden, 7, c, 100 + c);
    }
    plant(hidden, 30, 5, -99);
    var sinks = new MassiveActivations(20);
    sinks.add(hidden, 1000);
    assertThat(sinks.tokens()).containsExactly(1007, 1030);
  }

  @Test
  void paddingIsNotLookedAt() {
    Tensor hidden = hidden(DType.F32, 10, 16);
    plant(hidden, 2, 3, Double.NaN);
    plant(hidden, 3, 3, 1e6);
    plant(hidden, 8, 3, 500);
    var sinks = new MassiveActivations(1);
    sinks.add(hidden, 0, token -> token < 4);
    assertThat(sinks.tokens()).containsExactly(8);
  }

  @Test
  void chunksDoNotMatter() {
    Tensor hidden = hidden(DType.F32, 100, 8);
    for (int t = 20; t < 80; t++) {
      plant(hidden, t, 2, 50); // ties
    }
    var whole = new MassiveActivations(20);
    whole.add(hidden, 0);
    var pieces = new MassiveActivations(20);
    for (int t = 0; t < 100; t += 7) {
      pieces.add(hidden.narrow(0, t, Math.min(7, 100 - t)), t);
    }
    assertThat(pieces.tokens()).isEqualTo(whole.tokens()).hasSize(20).startsWith(20, 21);
  }

  @Test
  void agreesWithTheFixture() {
    try (GoldenCase golden = new GoldenCase(MassiveActivationsTest.class, "rotatekv")) {
      var sinks = new MassiveActivations(golden.size("top_k"));
      sinks.add(golden.tensor("hidden"), 0);
      assertThat(sinks.tokens()).isEqualTo(golden.tensor("sinks").toLongs());
    }
  }

  @Test
  void noneWanted() {
    var sinks = new MassiveActivations(0);
    sinks.add(hidden(DType.F32, 3, 4), 0);
    assertThat(sinks.tokens()).isEmpty();
  }

  @Test
  void refusesWhatIsNotFinite() {
    Tensor hidden = hidden(DType.F32, 10, 16);
    plant(hidden, 6, 3, Double.POSITIVE_INFINITY);
    assertThatThrownBy(() -> new MassiveActivations(3).add(hidden, 100))
        .isInstanceOf(NonFiniteInputException.class)
        .hasMessage("hidden, token 106, channel 3: expected a finite number, got Infinity");
    assertThatThrownBy(() -> new MassiveActivations(-1)).hasMessage("k: expected >= 0, got -1");
  }
}
