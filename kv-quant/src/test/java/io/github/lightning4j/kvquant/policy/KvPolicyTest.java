package io.github.lightning4j.kvquant.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.kvquant.quantizer.AffineGrid;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.KvTransform;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class KvPolicyTest {
  private static final KvQuantizer TWO = KvQuantizer.lloydMax(2, 128, ScaleFormat.LOG8);
  private static final KvFormat USUAL = KvFormat.both(TWO);

  @ParameterizedTest
  @CsvSource({
    "rotatekv-2, 2.125, 0.8",
    "rotatekv-3, 3.125, 1",
    "rotatekv-4, 4.125, 1",
    "naive-2, 2.125, 1",
    "quarot-2, 2.25, 0.95",
    "kivi-2, 3, 1",
    "kivi-4, 5, 1",
    "kv2-affine, 2.125, 0.6"
  })
  void presetsHaveTheBitsAndClipsOfTheirPapers(String name, double bits, double clip) {
    KvPolicy policy = KvPresets.of(name);
    assertThat(policy.name()).isEqualTo(name);
    assertThat(policy.bitsPerElement()).isEqualTo(bits);
    var grid = (AffineGrid) policy.format(0, 1).key().grid();
    assertThat(grid.clip()).isEqualTo(Clip.paper(clip));
  }

  @Test
  void rotateKvIsThePapers() {
    KvPolicy policy = KvPresets.of("rotatekv-2");
    assertThat(policy.transform())
        .isEqualTo(new KvTransform.PreRopeGrouped(4, KvTransform.PermutationScope.LAYER));
    assertThat(policy.tokens()).isEqualTo(new TokenPolicy(20, 0, 0, 1, true));
    assertThat(policy.format(3, 8).value().group()).isEqualTo(128);
  }

  @Test
  void candidatesStayWithinTwoAndAQuarterBits() {
    for (String name : KvPresets.names()) {
      if (name.startsWith("kv2")) {
        assertThat(KvPresets.of(name).bitsPerElement()).isLessThanOrEqualTo(2.25);
      }
    }
    assertThat(KvPresets.names())
        .contains("kv2-centered", "kv2-affine", "kv2-wush", "kv2")
        .hasSize(15);
  }

  @Test
  void presetThatThereIsNot() {
    assertThatThrownBy(() -> KvPresets.of("kv3"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("preset: expected one of [rotatekv-4, ")
        .hasMessageEndingWith("got 'kv3'");
  }

  @Test
  void layersMayHaveOtherFormats() {
    KvFormat outer = KvFormat.both(TWO.withBits(4));
    KvFormat third = new KvFormat(TWO.withBits(3), TWO);
    LayerFormats layers =
        LayerFormats.all(USUAL).withBoundary(outer, 1, 2).withSingle(Map.of(3, third, 9, third));
    KvFormat[] expected = {outer, USUAL, USUAL, third, USUAL, USUAL, USUAL, USUAL, outer, third};
    for (int i = 0; i < expected.length; i++) {
      assertThat(layers.of(i, 10)).isEqualTo(expected[i]);
    }
    assertThatThrownBy(() -> layers.of(10, 10))
        .hasMessage("layer: expected 0 <= layer < 10, got 10");
    assertThatThrownBy(() -> layers.of(0, 5))
        .hasMessage("single: expected layers below 5, got a format for 9");
    assertThatThrownBy(() -> LayerFormats.all(USUAL).withBoundary(outer, -1, 0))
        .hasMessage("first: expected >= 0 layers, got -1");
  }

  @Test
  void partsAreReplacedOneByOne() {
    KvPolicy policy = KvPresets.of("kv2-centered").withName("mine");
    KvPolicy changed =
        policy
            .withTokens(policy.tokens().withRecentWindow(64, 8).withFirstTokens(1))
            .withLayers(LayerFormats.all(KvFormat.both(TWO.withBits(3))));
    assertThat(changed.tokens()).isEqualTo(new TokenPolicy(20, 1, 64, 8, false));
    assertThat(changed.bitsPerElement()).isEqualTo(3.0625);
    assertThat(changed.name()).isEqualTo("mine");
    assertThat(changed.transform()).isEqualTo(policy.transform());
  }

  @Test
  void refusesPartsThatDoNotFit() {
    KvPolicy kivi = KvPresets.of("kivi-2");
    assertThatThrownBy(() -> kivi.withTokens(TokenPolicy.NONE))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "tokens: expected a flush of whole groups of 32 tokens with keys by channel, got 1");
    KvFormat wider =
        KvFormat.both(KvQuantizer.affine(2, 64, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT));
    assertThatThrownBy(() -> kivi.withLayers(kivi.layers().withSingle(Map.of(2, wider))))
        .hasMessageContaining("whole groups of 64");
    assertThatThrownBy(() -> kivi.withName(" ")).hasMessage("name: expected one, got a blank");
    assertThatThrownBy(() -> new TokenPolicy(-1, 0, 0, 1, false))
        .hasMessage("massiveActivations: expected >= 0, got -1");
    assertThatThrownBy(() -> TokenPolicy.NONE.withRecentWindow(3, 0))
        .hasMessage("flush: expected >= 1, got 0");
  }
}
