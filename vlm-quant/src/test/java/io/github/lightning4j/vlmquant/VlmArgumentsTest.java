package io.github.lightning4j.vlmquant;

import static io.github.lightning4j.vlmquant.TokenClass.PIVOT;
import static io.github.lightning4j.vlmquant.TokenClass.RECENT;
import static io.github.lightning4j.vlmquant.TokenClass.TEXT;
import static io.github.lightning4j.vlmquant.TokenClass.VISUAL;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is refused, by name and with the way out; nothing is changed by it. */
final class VlmArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final VlmCacheConfig config = VlmScene.config(16, LayerPattern.PIVOT_SALIENT, 4);
  private final VlmCache cache = scope.add(VlmCache.create(config));

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor rows(long tokens) {
    return scope.allocate(DType.F32, tokens, 2, 16);
  }

  @Test
  void classesMustBeOneForEachToken() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.append(rows(3), rows(3), new TokenClass[] {TEXT, VISUAL}))
        .withMessage("classes: expected 3, one for each token, got 2");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.append(rows(1), rows(1), new TokenClass[] {TEXT, VISUAL}))
        .withMessage("classes: expected 1, one for each token, got 2");
    assertThat(cache.length()).isZero();
  }

  @Test
  void onlyModalitiesCanBeTold() {
    for (TokenClass told : new TokenClass[] {RECENT, PIVOT, null}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> cache.append(rows(2), rows(2), new TokenClass[] {TEXT, told}))
          .withMessage("classes[1]: expected TEXT or VISUAL, got " + told);
    }
    assertThat(cache.length()).isZero();
  }

  @Test
  void withoutClassesAllIsText() {
    cache.append(rows(6), rows(6));
    assertThat(cache.tokenClass(0)).isEqualTo(TEXT);
    assertThat(cache.tokenClass(5)).isEqualTo(RECENT);
  }

  @Test
  void shapesMustFit() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.append(rows(2), rows(3)))
        .withMessageStartingWith("v: expected shape [2, 2, 16]");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.append(scope.allocate(DType.BF16, 2, 2, 16), rows(2)))
        .withMessageStartingWith("k: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.read(rows(1), rows(1)))
        .withMessageStartingWith("outK: expected shape [0, 2, 16]");
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void notANumberIsRefusedWithItsPlace(float bad) {
    cache.append(rows(3), rows(3));
    Tensor v = rows(2);
    v.accessor().set(16 + 32 + 5, bad);
    assertThatExceptionOfType(NonFiniteInputException.class)
        .isThrownBy(() -> cache.append(rows(2), v))
        .withMessageStartingWith("value, layer 3, head 1, token 4, channel 5: ");
    assertThat(cache.length()).isEqualTo(3);
  }

  @Test
  void whatHalfPrecisionCannotHoldIsRefused() {
    Tensor k = rows(1);
    for (int i = 0; i < 16; i++) {
      k.accessor().set(i, 20_000); // sixteen of them rotate into one of 80,000
    }
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.append(k, rows(1)))
        .withMessageMatching("key, layer 3, token 0: expected magnitudes to 65504 .* BF16");
    assertThat(cache.length()).isZero();
    VlmCache wide = scope.add(VlmCache.create(config.withDtype(DType.BF16)));
    wide.append(k, rows(1));
    assertThat(wide.length()).isEqualTo(1);
  }

  @Test
  void pivotsMustBeFewAndInTheCache() {
    cache.beginPrompt();
    cache.append(rows(40), rows(40));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.endPrompt(new long[16]))
        .withMessage("pivots: expected at most 15 in this PIVOT_SALIENT layer, got 16");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> cache.endPrompt(3, 40))
        .withMessage("pivots: expected 0 <= token < 40, got 40");
    assertThatIllegalArgumentException().isThrownBy(() -> cache.endPrompt(-1));
    assertThatIllegalStateException().isThrownBy(cache::beginPrompt);
    cache.endPrompt(3); // the prompt went on
    assertThat(cache.tokenClass(3)).isEqualTo(PIVOT);
    assertThatIllegalStateException().isThrownBy(() -> cache.endPrompt());
    VlmCache text = scope.add(VlmCache.create(VlmScene.config(16, LayerPattern.TEXT_SALIENT, 4)));
    text.beginPrompt();
    text.append(rows(4), rows(4));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> text.endPrompt(0))
        .withMessage("pivots: expected at most 0 in this TEXT_SALIENT layer, got 1");
  }

  @Test
  void queriesMustFit() {
    cache.append(rows(3), rows(3));
    VlmAttention attention = VlmAttention.best();
    Tensor q = scope.allocate(DType.F32, 2, 4, 16);
    Tensor out = scope.allocate(DType.F32, 2, 4, 16);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> attention.attend(rows(4), cache, 1, out))
        .withMessageStartingWith("q: expected at most 3 queries");
    Tensor odd = scope.allocate(DType.F32, 2, 3, 16);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> attention.attend(odd, cache, 1, out))
        .withMessageStartingWith("q: expected a multiple of 2 kv heads");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> attention.attend(q, cache, Float.NaN, out))
        .withMessageStartingWith("scale: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> attention.attend(q, cache, 1, q))
        .withMessage("out: must not overlap q");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> attention.attend(q, cache, 1, rows(2)))
        .withMessageStartingWith("out: expected shape");
  }

  @Test
  void headsMustHaveATransform() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> VlmScene.config(40, LayerPattern.TEXT_SALIENT, 4))
        .withMessage("headDim: expected 2^k or 12 2^k channels, 8 to 256, got 40");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> config.withDtype(DType.I32))
        .withMessageStartingWith("dtype: ");
  }

  @Test
  void policiesMustMakeSense() {
    BitBudget two = BitBudget.preset("akvq-2");
    BitBudget eight = new BitBudget(8, 16, 2, 2);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new VlmPolicy("p", two, eight, 128, 15))
        .withMessage("recent: expected 16 bits in all layers, got 16 and 8");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new VlmPolicy(" ", two, two, 128, 15))
        .withMessageStartingWith("name: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new VlmPolicy("p", two, two, -1, 15))
        .withMessageStartingWith("recentWindow: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new VlmPolicy("p", two, two, 1, -1))
        .withMessageStartingWith("pivots: ");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> text().withTwoBits(text().twoBits().withBits(3)))
        .withMessage("twoBits: expected a format of 2 bits, got 3");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> VlmPolicy.preset("akvq-3"))
        .withMessage("preset: expected one of [akvq-2, akvq-2-lm, akvq-2-text4], got 'akvq-3'");
  }

  @Test
  void presetsAreTheTableOfThePaper() {
    assertThat(VlmPolicy.names()).containsExactly("akvq-2", "akvq-2-lm", "akvq-2-text4");
    VlmPolicy paper = VlmPolicy.preset("akvq-2");
    assertThat(paper.budget(LayerPattern.TEXT_SALIENT)).isEqualTo(new BitBudget(16, 16, 4, 2));
    assertThat(paper.budget(LayerPattern.PIVOT_SALIENT)).isEqualTo(new BitBudget(16, 16, 2, 2));
    assertThat(paper.pivots(LayerPattern.TEXT_SALIENT)).isZero();
    assertThat(paper.pivots(LayerPattern.PIVOT_SALIENT)).isEqualTo(15);
    assertThat(paper.recentWindow()).isEqualTo(128);
    assertThat(text().budget(LayerPattern.PIVOT_SALIENT)).isEqualTo(new BitBudget(16, 16, 4, 2));
    VlmPolicy lloydMax = VlmPolicy.preset("akvq-2-lm").withRecentWindow(7);
    assertThat(lloydMax.withTwoBits(paper.twoBits()))
        .isEqualTo(new VlmPolicy("akvq-2-lm", paper.textSalient(), paper.pivotSalient(), 7, 15));
    assertThat(lloydMax.twoBits().bitsPerElement()).isEqualTo(2.0625);
  }

  private static VlmPolicy text() {
    return VlmPolicy.preset("akvq-2-text4");
  }
}
