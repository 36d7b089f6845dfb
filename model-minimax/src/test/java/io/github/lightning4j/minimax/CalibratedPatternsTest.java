package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.kvquant.calibration.LayerCalibration;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmAccount;
import io.github.lightning4j.vlmquant.VlmAccount.Share;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two softmax layers of one model, one text-salient and one pivot-salient by its calibration. */
final class CalibratedPatternsTest {
  private static final int[] IDS = IntStream.range(0, 100).map(i -> i * 37 % 128).toArray();

  @TempDir private Path temp;

  private static Share share(VlmAccount account, TokenClass tokenClass) {
    return account.classes().get(tokenClass);
  }

  @Test
  void eachLayerTakesThePatternThatWasMeasured() {
    Path text = temp.resolve("text.safetensors");
    Path patterns = temp.resolve("patterns.safetensors");
    KvCacheFormat format = KvCacheFormat.of(VlmPolicy.preset("akvq-2").withRecentWindow(16));
    try (MiniMaxModel model =
        MiniMaxModel.load(ModelFixture.root().resolve("alt_gqa_b32").resolve("hf"))) {
      Calibration measured = KvCalibration.of(model, IDS, 50, "random", ProgressListener.NONE);
      CalibrationFile.write(text, measured);
      assertThatThrownBy(() -> model.newSession(format.withCalibration(text)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("minimax calibrate --image");
      List<LayerCalibration> layers = new ArrayList<>();
      for (double salience : new double[] {3, 0.5}) {
        LayerCalibration layer = measured.layers().get(layers.size());
        layers.add(layer.withTextSalience(OptionalDouble.of(salience)));
      }
      assertThat(layers).hasSameSizeAs(measured.layers());
      CalibrationFile.write(patterns, new Calibration(measured.source(), layers));
      try (Session session = model.newSession(format.withCalibration(patterns))) {
        session.prefill(IDS);
        session.decode(5);
        VlmAccount textSalient = session.accounts().get(0);
        VlmAccount pivotSalient = session.accounts().get(1);
        assertThat(share(textSalient, TokenClass.TEXT).bits()).isEqualTo(4);
        assertThat(share(textSalient, TokenClass.PIVOT).tokens()).isZero();
        assertThat(share(textSalient, TokenClass.TEXT).tokens()).isEqualTo(101 - 16);
        assertThat(share(pivotSalient, TokenClass.TEXT).bits()).isEqualTo(2);
        long pivots = share(pivotSalient, TokenClass.PIVOT).tokens();
        assertThat(pivots).isBetween(1L, 15L);
        assertThat(share(pivotSalient, TokenClass.TEXT).tokens()).isEqualTo(101 - 16 - pivots);
      }
    }
  }
}
