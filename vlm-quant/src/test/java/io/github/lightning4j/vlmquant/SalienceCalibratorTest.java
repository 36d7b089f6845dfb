package io.github.lightning4j.vlmquant;

import static io.github.lightning4j.vlmquant.LayerPattern.PIVOT_SALIENT;
import static io.github.lightning4j.vlmquant.LayerPattern.TEXT_SALIENT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.kvquant.calibration.Calibrator;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SalienceCalibratorTest {
  private static final int TOKENS = 30;
  private static final int DIM = 8;

  private final MemoryScope scope = new MemoryScope();
  private final TokenClass[] classes = new TokenClass[TOKENS];

  SalienceCalibratorTest() {
    for (int t = 0; t < TOKENS; t++) {
      classes[t] = t % 3 == 0 ? TokenClass.TEXT : TokenClass.VISUAL;
    }
  }

  @AfterEach
  void close() {
    scope.close();
  }

  /** Queries of ones; keys whose scores are told, so that attention is known. */
  private Tensor ones() {
    Tensor q = scope.allocate(DType.F32, TOKENS, 4, DIM);
    for (long i = 0; i < q.elements(); i++) {
      q.accessor().set(i, 1);
    }
    return q;
  }

  private Tensor keys(double text, double visual, double first, double recent) {
    Tensor k = scope.allocate(DType.F32, TOKENS, 2, DIM);
    for (int t = 0; t < TOKENS; t++) {
      double score =
          t < 5 ? first : t >= 26 ? recent : classes[t] == TokenClass.TEXT ? text : visual;
      for (int i = 0; i < 2 * DIM; i++) {
        k.accessor().set(t * 2L * DIM + i, score / DIM);
      }
    }
    return k;
  }

  @Test
  void isTheRatioOfAttentionOnATextAndOnAVisualToken() {
    SalienceCalibrator calibrator = new SalienceCalibrator(3, 4);
    calibrator.add(0, ones(), keys(Math.log(3), 0, 9, 9), 1, classes);
    calibrator.add(1, ones(), keys(0, Math.log(4), 0, 0), 1, classes);
    assertThat(calibrator.salience(0)).isPresent();
    assertThat(calibrator.salience(0).getAsDouble()).isCloseTo(3, within(1e-6));
    assertThat(calibrator.salience(1).getAsDouble()).isCloseTo(0.25, within(1e-6));
    assertThat(calibrator.salience(2)).isEmpty();
  }

  /** The formula once more, token by token. */
  @Test
  void agreesWithTheDefinition() {
    Tensor q = scope.add(Cases.normal(1, DType.F32, TOKENS, 4, DIM));
    Tensor k = scope.add(Cases.normal(2, DType.F32, TOKENS, 2, DIM));
    double text = 0;
    double visual = 0;
    for (int t = 0; t < TOKENS; t++) {
      for (int h = 0; h < 4; h++) {
        double total = 0;
        double[] mass = new double[2];
        int[] count = new int[2];
        for (int s = 0; s <= t; s++) {
          double dot = 0;
          for (int i = 0; i < DIM; i++) {
            dot +=
                q.accessor().get((t * 4L + h) * DIM + i)
                    * k.accessor().get((s * 2L + h / 2) * DIM + i);
          }
          total += Math.exp(0.5 * dot);
          if (s >= 5 && s <= t - 4) {
            int of = classes[s] == TokenClass.TEXT ? 0 : 1;
            mass[of] += Math.exp(0.5 * dot);
            count[of]++;
          }
        }
        if (count[0] > 0 && count[1] > 0) {
          text += mass[0] / total / count[0];
          visual += mass[1] / total / count[1];
        }
      }
    }
    SalienceCalibrator calibrator = new SalienceCalibrator(1, 4);
    calibrator.add(0, q, k, 0.5f, classes);
    assertThat(calibrator.salience(0).getAsDouble()).isCloseTo(text / visual, within(1e-12));
  }

  @Test
  void promptsAddUpAndThoseOfOneKindSayNothing() {
    Tensor strong = keys(Math.log(3), 0, 0, 0);
    SalienceCalibrator calibrator = new SalienceCalibrator(1, 4);
    TokenClass[] textOnly = new TokenClass[TOKENS];
    Arrays.fill(textOnly, TokenClass.TEXT);
    calibrator.add(0, ones(), strong, 1, textOnly);
    assertThat(calibrator.salience(0)).isEmpty();
    calibrator.add(0, ones(), strong, 1, classes);
    calibrator.add(0, ones(), keys(0, 0, 0, 0), 1, classes);
    assertThat(calibrator.salience(0).getAsDouble()).isBetween(1.0, 3.0);
  }

  @Test
  void thePatternsAreInTheCalibrationFile(@TempDir Path folder) {
    Calibrator basis = new Calibrator(2, GroupedBasis.of(2, DIM, 2), PermutationScope.LAYER);
    for (int layer = 0; layer < 2; layer++) {
      basis.addKeys(layer, scope.add(Cases.normal(layer, DType.F32, 20, 2 * DIM)));
    }
    Calibration calibration = basis.finish("sha256:abc", "pictures", "train");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SalienceCalibrator.patterns(calibration, 2))
        .withMessageStartingWith("calibration: expected a text salience of layer 0");
    SalienceCalibrator calibrator = new SalienceCalibrator(2, 4);
    calibrator.add(0, ones(), keys(Math.log(3), 0, 0, 0), 1, classes);
    calibrator.add(1, ones(), keys(0, 0, 0, 0), 1, classes);
    Path file = folder.resolve("vl.safetensors");
    CalibrationFile.write(file, calibrator.addTo(calibration));
    Calibration read = CalibrationFile.read(file, "sha256:abc");
    assertThat(SalienceCalibrator.patterns(read, LayerPattern.THRESHOLD))
        .containsExactly(TEXT_SALIENT, PIVOT_SALIENT);
    assertThat(SalienceCalibrator.patterns(read, 4)).containsOnly(PIVOT_SALIENT);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new SalienceCalibrator(3, 4).addTo(calibration))
        .withMessage("calibration: expected 3 layers, got 2");
  }

  @Test
  void badInput() {
    SalienceCalibrator calibrator = new SalienceCalibrator(1, 4);
    Tensor k = keys(0, 0, 0, 0);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> calibrator.add(0, ones(), k, 1, new TokenClass[] {TokenClass.TEXT}))
        .withMessage("classes: expected 30, one for each token, got 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> calibrator.add(1, ones(), k, 1, classes))
        .withMessage("layer: expected 0 <= layer < 1, got 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> calibrator.add(0, ones(), k.narrow(0, 0, 3), 1, classes))
        .withMessageStartingWith("k: expected shape");
    k.accessor().set(15 * 2 * DIM, Double.NaN);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> calibrator.add(0, ones(), k, 1, classes))
        .withMessageStartingWith("q: expected finite scores");
    assertThat(calibrator.salience(0)).isEmpty(); // nothing was added
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new SalienceCalibrator(0, 4))
        .withMessage("layers: expected >= 1, got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> LayerPattern.of(Double.NaN, 2))
        .withMessage("textSalience: expected >= 0, got NaN");
  }
}
