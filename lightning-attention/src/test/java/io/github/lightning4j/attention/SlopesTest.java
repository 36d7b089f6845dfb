package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.testkit.GoldenCase;
import org.junit.jupiter.api.Test;

final class SlopesTest {
  @Test
  void givesTheGoldenSlopes() {
    JsonNode cases = GoldenCase.readme(SlopesTest.class, "slopes").required("cases");
    assertThat(cases.size()).isGreaterThan(20);
    for (JsonNode node : cases) {
      int heads = node.required("heads").asInt();
      int layers = node.required("layers").asInt();
      int layer = node.required("layer").asInt();
      double original = Slopes.layerFactor(layer, layers);
      double port = Slopes.layerFactorTransformers(layer, layers);
      for (int h = 0; h < heads; h++) {
        String what = heads + " heads, layer " + layer + " of " + layers + ", head " + h;
        double orig = node.required("orig").get(h).asDouble();
        double hf = node.required("hf").get(h).asDouble();
        assertThat(Slopes.alibi(heads)[h] * original)
            .as(what)
            .isCloseTo(orig, within(1e-12 * orig));
        assertThat(Slopes.geometric(heads)[h] * port).as(what).isCloseTo(hf, within(1e-12 * hf));
      }
    }
  }

  @Test
  void interleavesTheNextPowerForOtherHeadCounts() {
    assertThat(Slopes.alibi(3)).containsExactly(1.0 / 16, 1.0 / 256, 1.0 / 4);
    assertThat(Slopes.alibi(1)).containsExactly(1.0 / 256);
  }

  @Test
  void givesOneLayerItsFullSlope() {
    assertThat(Slopes.layerFactor(0, 1)).isEqualTo(1 + 1e-5);
    assertThat(Slopes.layerFactorTransformers(0, 1)).isEqualTo(1 + 1e-5);
  }

  @Test
  void refusesCountsThatAreNone() {
    assertThatThrownBy(() -> Slopes.alibi(0)).hasMessage("heads: expected >= 1, got 0");
    assertThatThrownBy(() -> Slopes.geometric(0)).hasMessage("heads: expected >= 1, got 0");
    assertThatThrownBy(() -> Slopes.layerFactor(4, 4))
        .hasMessage("layer: expected 0 <= layer < 4, got 4");
    assertThatThrownBy(() -> Slopes.layerFactorTransformers(-1, 4))
        .hasMessage("layer: expected 0 <= layer < 4, got -1");
  }
}
