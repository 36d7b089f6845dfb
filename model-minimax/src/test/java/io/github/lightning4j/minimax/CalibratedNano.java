package io.github.lightning4j.minimax;

import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The embedded model with caches of any format, and text to read.
 *
 * @param calibration made from the first tokens of the text
 */
record CalibratedNano(Path calibration, int[] text) {
  private static final int TRAIN = 600;

  static CalibratedNano in(Path folder) throws IOException {
    try (MiniMaxModel model = Nano.load();
        Tokenizer tokenizer = Tokenizer.load(Nano.FOLDER)) {
      Path austen = Path.of("src/test/resources/text/austen-heldout.txt");
      int[] text = tokenizer.encode(Files.readString(austen).substring(0, 16000));
      Path file = folder.resolve("nano.safetensors");
      CalibrationFile.write(
          file,
          KvCalibration.of(
              model, Arrays.copyOf(text, TRAIN), 200, "austen", ProgressListener.NONE));
      return new CalibratedNano(file, text);
    }
  }

  LoadOptions options(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    return LoadOptions.DEFAULT.withCacheFormat(
        format.usesCalibration() && format.classes().isEmpty()
            ? format.withCalibration(calibration)
            : format);
  }

  MiniMaxModel load(String name) {
    return MiniMaxModel.load(Nano.FOLDER, options(name));
  }

  /** A passage behind what calibrated. */
  int[] passage(int number, int length) {
    int from = TRAIN + 300 * number;
    return Arrays.copyOfRange(text, from, from + length);
  }
}
