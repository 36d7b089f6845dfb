package io.github.lightning4j.vlmquant;

import static io.github.lightning4j.vlmquant.TokenClass.PIVOT;
import static io.github.lightning4j.vlmquant.TokenClass.RECENT;
import static io.github.lightning4j.vlmquant.TokenClass.TEXT;
import static io.github.lightning4j.vlmquant.TokenClass.VISUAL;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bits by class, and their average. */
final class BitBudgetTest {
  private static Map<TokenClass, Long> tokens(long recent, long pivot, long text, long visual) {
    return Map.of(RECENT, recent, PIVOT, pivot, TEXT, text, VISUAL, visual);
  }

  @ParameterizedTest
  @CsvSource({"akvq-2, 16, 16, 2, 2", "akvq-2-text4, 16, 16, 4, 2"})
  void presets(String name, int recent, int pivot, int text, int visual) {
    BitBudget budget = BitBudget.preset(name);
    assertThat(budget).isEqualTo(new BitBudget(recent, pivot, text, visual));
    assertThat(budget.bits(RECENT)).isEqualTo(recent);
    assertThat(budget.bits(PIVOT)).isEqualTo(pivot);
    assertThat(budget.bits(TEXT)).isEqualTo(text);
    assertThat(budget.bits(VISUAL)).isEqualTo(visual);
  }

  @Test
  void everyClassHasItsOwnBits() {
    BitBudget budget = new BitBudget(16, 8, 4, 3);
    assertThat(TokenClass.values()).extracting(budget::bits).containsExactly(16, 8, 4, 3);
  }

  /** The two figures known of pivot-salient layers: 128 recent tokens and 15 pivots. */
  @ParameterizedTest
  @CsvSource({"4096, 2.489", "500, 6.00"})
  void figuresOfPivotSalientLayers(long total, double expected) {
    double average =
        BitBudget.preset("akvq-2").averageBits(tokens(128, 15, total / 4, total - 143 - total / 4));
    assertThat(average).isCloseTo(expected, within(0.005)).isEqualTo(2 + 14.0 * 143 / total);
  }

  /** By hand, all exact in binary. */
  @ParameterizedTest
  @CsvSource({
    "akvq-2, 128, 0, 968, 3000, 2.4375", // 2 + 14 x 128 / 4096
    "akvq-2-text4, 128, 0, 968, 3000, 2.91015625", // the same + 2 x 968 / 4096
    "akvq-2-text4, 128, 0, 0, 3968, 2.4375",
    "akvq-2-text4, 0, 0, 7, 0, 4",
    "akvq-2-text4, 0, 0, 1, 1, 3",
    "akvq-2, 0, 0, 1, 1, 2",
    "akvq-2, 100, 15, 0, 0, 16",
    "akvq-2, 0, 1, 0, 3, 5.5",
    "akvq-2-text4, 9223372036854775807, 0, 9223372036854775807, 0, 10"
  })
  void byHand(String preset, long recent, long pivot, long text, long visual, double expected) {
    assertThat(BitBudget.preset(preset).averageBits(tokens(recent, pivot, text, visual)))
        .isEqualTo(expected);
  }

  @Test
  void aClassThatIsLeftOutHasNoTokens() {
    assertThat(BitBudget.preset("akvq-2").averageBits(Map.of(RECENT, 1L, VISUAL, 1L))).isEqualTo(9);
  }

  @ParameterizedTest
  @ValueSource(ints = {-2, 0, 1, 5, 32})
  void oddWidthsAreRefusedByName(int bits) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new BitBudget(bits, 16, 2, 2))
        .withMessage("recent: expected 2, 3, 4, 8 or 16 bits, got " + bits);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new BitBudget(16, bits, 2, 2))
        .withMessageStartingWith("pivot: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new BitBudget(16, 16, bits, 2))
        .withMessageStartingWith("text: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new BitBudget(16, 16, 2, bits))
        .withMessageStartingWith("visual: ");
  }

  @Test
  void countsThatMakeNoSenseAreRefused() {
    BitBudget budget = BitBudget.preset("akvq-2");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> budget.averageBits(Map.of(TEXT, -1L)))
        .withMessage("tokens: expected TEXT >= 0, got -1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> budget.averageBits(Map.of(TEXT, 0L)))
        .withMessage("tokens: expected at least one, got {TEXT=0}");
    assertThatIllegalArgumentException().isThrownBy(() -> budget.averageBits(Map.of()));
  }

  @Test
  void unknownPresets() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BitBudget.preset("akvq-3"))
        .withMessage("name: expected one of [akvq-2, akvq-2-text4], got 'akvq-3'");
  }
}
