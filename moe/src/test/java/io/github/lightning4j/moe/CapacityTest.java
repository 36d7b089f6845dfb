package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.moe.Capacity.Priority;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

final class CapacityTest {
  @Test
  void isTheShareOfAnEvenLoadTimesTheFactorRoundedUp() {
    assertThat(Capacity.ofFactor(1).limit(64, 2, 32)).isEqualTo(4);
    assertThat(Capacity.ofFactor(1).limit(65, 2, 32)).isEqualTo(5);
    assertThat(Capacity.ofFactor(1.25).limit(64, 2, 32)).isEqualTo(5);
    assertThat(Capacity.ofFactor(0.01).limit(64, 2, 32)).isEqualTo(1);
    assertThat(Capacity.ofFactor(3).limit(0, 2, 32)).isZero();
  }

  @Test
  void takesTheFactorAsTheDecimalThatIsWritten() {
    assertThat(100 * 1.1).isGreaterThan(110);
    assertThat(Capacity.ofFactor(1.1).limit(1000, 1, 10)).isEqualTo(110);
  }

  @Test
  void liesBetweenTheMinimumAndTheTokens() {
    assertThat(Capacity.ofFactor(1).withMinimum(4).limit(16, 2, 32)).isEqualTo(4);
    assertThat(Capacity.ofFactor(1).withMinimum(4).limit(3, 2, 32)).isEqualTo(3);
    assertThat(Capacity.ofFactor(32).limit(10, 2, 32)).isEqualTo(10);
    assertThat(Capacity.ofFactor(1e300).limit(1 << 20, 1024, 1024)).isEqualTo(1 << 20);
  }

  @Test
  void refusesWhatCannotBe() {
    refused("factor: expected a finite number > 0, got 0.0", () -> Capacity.ofFactor(0));
    refused("factor: expected a finite number > 0, got -1.0", () -> Capacity.ofFactor(-1));
    refused("factor: expected a finite number > 0, got NaN", () -> Capacity.ofFactor(Double.NaN));
    refused(
        "factor: expected a finite number > 0, got Infinity",
        () -> Capacity.ofFactor(Double.POSITIVE_INFINITY));
    refused(
        "minimum: expected >= 0, got -1",
        () -> new Capacity(1, Priority.WEIGHT, 0).withMinimum(-1));
    refused("k: expected 1 <= k <= 4, got 5", () -> Capacity.ofFactor(1).limit(3, 5, 4));
    refused("k: expected 1 <= k <= 4, got 0", () -> Capacity.ofFactor(1).limit(3, 0, 4));
    refused("tokens: expected >= 0, got -3", () -> Capacity.ofFactor(1).limit(-3, 1, 4));
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
