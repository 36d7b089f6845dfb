package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.KvCalibration;
import io.github.lightning4j.minimax.ProgressListener;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax kv-report}: what each format of key-value caches costs and saves. */
@Command(
    name = "kv-report",
    sortOptions = false,
    description = {
      "Compare the formats of key-value caches: perplexity, divergence from 16 bits, agreement of the"
          + " likeliest token, measured bits, memory, speed.",
      "The first part of the text calibrates, unless a calibration is given; all is measured on the"
          + " rest, each token reading those before it as a step of decoding would.",
      "With pictures: answers to prompts, by formats that know which tokens are pictures and others:"
          + " divergence, agreement and captions against 16 bits, bytes by class of tokens, and where"
          + " the attention of each layer goes."
    })
final class KvReportCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private SplitText text = new SplitText();

  @Mixin private PicturePrompts pictures = new PicturePrompts();

  @Option(
      names = "--kv-calibration",
      paramLabel = "FILE",
      description = "What minimax calibrate found for this model.")
  private Optional<Path> calibration = Optional.empty();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Measure on N tokens at most. Without it: on all.")
  private Optional<Integer> most = Optional.empty();

  @Option(
      names = "--context",
      paramLabel = "N",
      defaultValue = "2048",
      description = "Tokens at which memory and speed are measured (${DEFAULT-VALUE}).")
  private int context;

  @Option(
      names = "--decode",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens to write behind them, and to answer with (${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--repeats",
      paramLabel = "N",
      defaultValue = "3",
      description = "Measurements of each speed (${DEFAULT-VALUE}).")
  private int repeats;

  @Option(names = "--out", paramLabel = "FILE", description = "Draw a PNG.")
  private Optional<Path> out = Optional.empty();

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  KvReportCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    pictures.check();
    text.check(pictures.isPresent());
    checkArgument(
        out.isEmpty() || text.isPresent(), "--out: expected --text with it, which it draws");
    checkArgument(most.orElse(2) >= 2, "--tokens: expected >= 2, got %s", most.orElse(2));
    checkArgument(context >= 1, "--context: expected >= 1, got %s", context);
    checkArgument(steps >= 1, "--decode: expected >= 1, got %s", steps);
    checkArgument(repeats >= 1, "--repeats: expected >= 1, got %s", repeats);
    Console to = console.unwatched(json);
    try (TextModel open = TextModel.open(model, to)) {
      Optional<KvReport> report =
          text.isPresent() ? Optional.of(report(open, to)) : Optional.empty();
      Optional<PictureReport> seen =
          pictures.isPresent() ? Optional.of(seen(open, to)) : Optional.empty();
      report.ifPresent(some -> out.ifPresent(file -> KvChart.write(some, file)));
      if (json) {
        ObjectNode node =
            report.map(KvReport::json).orElseGet(JsonNodeFactory.instance::objectNode);
        seen.ifPresent(some -> node.set("pictures", some.json()));
        console.json(node);
      } else {
        report.ifPresent(some -> some.print(console.out()));
        seen.ifPresent(some -> some.print(console.out()));
      }
    }
  }

  private PictureReport seen(TextModel open, Console to) {
    try (ProgressLine bar = new ProgressLine("Reading the pictures", to.terminal())) {
      return PictureReport.of(
          open.model(), pictures.of(open), pictures.recent(), steps, calibration, bar);
    }
  }

  private KvReport report(TextModel open, Console to) {
    SplitText.Parts parts = text.read(open);
    int[] ids =
        Arrays.copyOf(
            parts.heldOut(), Math.min(parts.heldOut().length, most.orElse(Integer.MAX_VALUE)));
    checkArgument(
        ids.length >= 2, "--text: expected two tokens or more to measure on, got %s", ids.length);
    if (calibration.isPresent()) {
      return report(open, ids, parts.window(), calibration.get(), to);
    }
    checkArgument(
        parts.train().length > 0,
        "--train-share: expected a token or more to calibrate with; or give --kv-calibration");
    try {
      Path made = Files.createTempFile("calibration", ".safetensors");
      try {
        CalibrationFile.write(
            made,
            KvCalibration.of(
                open.model(), parts.train(), parts.window(), text.corpus(), ProgressListener.NONE));
        return report(open, ids, parts.window(), made, to);
      } finally {
        Files.deleteIfExists(made);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("temporary file: " + e.getMessage(), e);
    }
  }

  private KvReport report(TextModel open, int[] ids, int window, Path calibrated, Console to) {
    List<KvCacheFormat> formats = KvReport.formats(pictures.recent(), calibrated);
    List<CacheQuality> quality;
    try (ProgressLine bar = new ProgressLine("Reading the text", to.terminal())) {
      quality =
          CacheQuality.of(
              open.model(), formats.get(0), formats.subList(1, formats.size()), ids, window, bar);
    }
    List<KvReport.Row> rows = new ArrayList<>();
    for (int i = 0; i < formats.size(); i++) {
      rows.add(
          KvReport.measure(open.model(), formats.get(i), quality.get(i), context, steps, repeats));
    }
    return new KvReport(context, rows);
  }
}
