package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.LoadOptions;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How sessions hold keys and values. */
final class CacheOptions {
  @Option(
      names = "--kv",
      paramLabel = "FORMAT",
      description =
          "How to hold keys and values: f32, bf16, int8, rotatekv-4, rotatekv-3, rotatekv-2, kv2,"
              + " akvq-2, akvq-2-lm or akvq-2-text4 (which know pictures from text), or another"
              + " preset; a GPU has some of them. Without it: f32, on a GPU bf16.")
  private Optional<String> name = Optional.empty();

  @Option(
      names = "--kv-calibration",
      paramLabel = "FILE",
      description = "What minimax calibrate found for this model; for rotatekv, kv2 and akvq.")
  private Optional<Path> calibration = Optional.empty();

  /** The format on a device; tells where it goes without the calibration it is made for. */
  KvCacheFormat format(Console console, Device device) {
    KvCacheFormat format = format(device);
    if (calibration.isPresent()) {
      return format.withCalibration(calibration.get());
    }
    if (format.usesCalibration()) {
      console
          .err()
          .println(
              "minimax: "
                  + format.name()
                  + " without a calibration; minimax calibrate makes one for --kv-calibration");
    }
    return format;
  }

  /** The format on a device, without a calibration. */
  KvCacheFormat format(Device device) {
    return name.map(KvCacheFormat::of)
        .orElseGet(() -> LoadOptions.DEFAULT.withDevice(device).cacheFormat());
  }
}
