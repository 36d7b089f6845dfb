package io.github.lightning4j.cispo;

import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** All variants of the golden data: six sequences of up to twelve tokens, made in float64. */
final class GoldenTest {
  private static final Map<String, PolicyLoss> LOSSES =
      Map.ofEntries(
          entry("cispo_paper_high1", Cispo.paper(1)),
          entry("cispo_paper_high5", Cispo.paper(5)),
          entry("cispo_paper_low02_high028", Cispo.paper(0.2, 0.28)),
          entry("cispo_trl_max2", Cispo.trl(2)),
          entry("cispo_trl_max5", Cispo.trl(5)),
          entry(
              "cispo_unified_mask",
              Cispo.paper(2).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28))),
          entry("reinforce_is", Cispo.paper(1e9)),
          entry("grpo", ClippedSurrogate.grpo(0.2).withKl(0.04)),
          entry("grpo_nokl", ClippedSurrogate.grpo(0.2)),
          entry("bnpo", ClippedSurrogate.bnpo(0.2)),
          entry("dapo", ClippedSurrogate.dapo(0.2, 0.28)),
          entry("dapo_kl", ClippedSurrogate.dapo(0.2, 0.28).withKl(0.04)),
          entry("dr_grpo", ClippedSurrogate.drGrpo(0.2, 12)),
          entry("gspo", ClippedSurrogate.gspo(0.0003, 0.0004)));

  private static JsonNode readme;
  private static SafetensorsFile data;
  private static TokenBatch masked;
  private static double[] advantages;

  @BeforeAll
  static void open() throws IOException, URISyntaxException {
    Path folder = Path.of(GoldenTest.class.getResource("/fixtures/rl_small").toURI());
    readme = new ObjectMapper().readTree(folder.resolve("README.json").toFile());
    data = SafetensorsFile.open(folder.resolve("data.safetensors"));
    double[][] mask = table("mask");
    boolean[][] counts = new boolean[mask.length][mask[0].length];
    for (int i = 0; i < mask.length; i++) {
      for (int t = 0; t < mask[i].length; t++) {
        counts[i][t] = mask[i][t] != 0;
      }
    }
    advantages = data.tensor("advantages").toDoubles();
    masked =
        TokenBatch.masked(table("logps"), table("old_logps"), advantages, counts)
            .withReference(table("ref_logps"));
  }

  @AfterAll
  static void close() {
    data.close();
  }

  static List<String> variants() {
    return LOSSES.keySet().stream().sorted().toList();
  }

  @Test
  void leavesNoVariantOut() {
    List<String> stated = new ArrayList<>();
    readme.required("variants").fieldNames().forEachRemaining(stated::add);
    assertThat(LOSSES).containsOnlyKeys(stated);
  }

  @ParameterizedTest
  @MethodSource("variants")
  void hasTheValueToNineDigits(String variant) {
    LossResult result = LOSSES.get(variant).evaluate(masked);
    double expected = stated(variant, "loss");
    assertThat(result.loss()).isCloseTo(expected, within(1e-9 * Math.abs(expected)));
  }

  @ParameterizedTest
  @MethodSource("variants")
  void hasTheGradient(String variant) {
    double[][] gradient = LOSSES.get(variant).evaluate(masked).gradient();
    assertGradient(variant, gradient, table(variant + ".dlogps"));
  }

  /** The stored gradients are fp32; the formulas that they were made by, written out, are not. */
  @ParameterizedTest
  @MethodSource("variants")
  void hasTheGradientOfTheFormulaToNineDigits(String variant) {
    JsonNode stated = readme.required("variants").required(variant);
    double[][] gradient = LOSSES.get(variant).evaluate(masked).gradient();
    double[][] expected =
        new GoldenFormula(stated, masked, advantages, table("ref_logps")).gradient();
    for (int i = 0; i < expected.length; i++) {
      for (int t = 0; t < expected[i].length; t++) {
        assertThat(gradient[i][t])
            .as("%s[%s][%s]", variant, i, t)
            .isCloseTo(expected[i][t], within(1e-9 * Math.abs(expected[i][t])));
      }
    }
    assertGradient(variant, expected, table(variant + ".dlogps"));
  }

  /** The golden data counts ratios above the upper bound only. */
  @ParameterizedTest
  @MethodSource("variants")
  void countsTheRatiosAbove(String variant) {
    LossResult result = LOSSES.get(variant).evaluate(masked);
    assertThat(result.diagnostics().clippedAbove())
        .isCloseTo(stated(variant, "frac_ratio_clipped"), within(1e-15));
  }

  @ParameterizedTest
  @MethodSource("variants")
  void doesNotCareForPadding(String variant) {
    LossResult padded = LOSSES.get(variant).evaluate(masked);
    LossResult ragged = LOSSES.get(variant).evaluate(raggedBatch());
    assertThat(ragged.loss()).isEqualTo(padded.loss());
    assertThat(ragged.diagnostics().clippedAbove()).isEqualTo(padded.diagnostics().clippedAbove());
    assertThat(ragged.diagnostics().clippedBelow()).isEqualTo(padded.diagnostics().clippedBelow());
    assertThat(ragged.gradient()).isDeepEqualTo(cut(padded.gradient()));
  }

  private static void assertGradient(String variant, double[][] gradient, double[][] expected) {
    double rtol = readme.required("recommended_rtol").asDouble();
    double atol = readme.required("recommended_atol").asDouble();
    assertThat(gradient).hasDimensions(expected.length, expected[0].length);
    for (int i = 0; i < expected.length; i++) {
      for (int t = 0; t < expected[i].length; t++) {
        assertThat(gradient[i][t])
            .as("%s[%s][%s]", variant, i, t)
            .isCloseTo(expected[i][t], within(atol + rtol * Math.abs(expected[i][t])));
      }
    }
  }

  private static double stated(String variant, String name) {
    return readme.required("variants").required(variant).required(name).asDouble();
  }

  /** The same sequences without their padding, which is on the right. */
  private static TokenBatch raggedBatch() {
    return TokenBatch.ragged(cut(masked.logProbs()), cut(masked.oldLogProbs()), advantages)
        .withReference(cut(table("ref_logps")));
  }

  private static double[][] cut(double[][] rows) {
    double[][] cut = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      cut[i] = Arrays.copyOf(rows[i], masked.tokens(i));
    }
    return cut;
  }

  private static double[][] table(String name) {
    Tensor tensor = data.tensor(name);
    double[][] rows = new double[(int) tensor.size(0)][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = tensor.select(0, i).toDoubles();
    }
    return rows;
  }
}
