package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.vlmquant.AttentionMass;
import io.github.lightning4j.vlmquant.LayerPattern;
import io.github.lightning4j.vlmquant.SalienceCalibrator;
import io.github.lightning4j.vlmquant.TokenClass;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * What formats of key-value caches cost and save where prompts have pictures.
 *
 * @param prompts how many there were
 * @param layers where each layer that has a cache looks
 * @param rows a format each, the first of them the base of the others
 */
record PictureReport(int prompts, List<Layer> layers, List<Row> rows) {
  /**
   * A layer that has a cache.
   *
   * @param index in the model
   * @param pattern as calibrated, empty without a calibration
   * @param shares of the attention of answers, by class of tokens
   */
  record Layer(int index, Optional<LayerPattern> pattern, Map<TokenClass, Double> shares) {}

  /**
   * One format.
   *
   * @param name of the format
   * @param quality of answers
   * @param bytes of all caches behind the answers, all prompts together
   * @param classes bytes by class, metadata included, without slots that wait; empty where the
   *     format knows no classes
   * @param bits an element takes on average over all tokens, metadata included
   */
  record Row(
      String name,
      PictureQuality quality,
      long bytes,
      Map<TokenClass, Long> classes,
      double bits) {}

  /**
   * Measures.
   *
   * @param prompts each asked for when it is answered, and closed behind that
   * @param recent newest tokens that formats keep in 16 bits if they keep any
   * @param steps tokens of an answer
   * @param calibration of this model; without it formats do as they can
   */
  static PictureReport of(
      MiniMaxModel model,
      List<Supplier<ImagePrompt>> prompts,
      int recent,
      int steps,
      Optional<Path> calibration,
      ProgressListener progress) {
    PictureRun run = new PictureRun(model, formats(recent, calibration), steps);
    List<AttentionMass> masses = new ArrayList<>();
    List<Integer> cached = new ArrayList<>();
    for (int i = 0; i < model.config().layers().size(); i++) {
      if (model.config().layers().get(i) != LayerKind.LIGHTNING) {
        cached.add(i);
        masses.add(new AttentionMass(recent));
      }
    }
    int done = 0;
    for (Supplier<ImagePrompt> next : prompts) {
      try (ImagePrompt prompt = next.get()) {
        run.add(prompt, masses);
      }
      progress.progress(++done, prompts.size());
    }
    Optional<List<LayerPattern>> patterns =
        calibration
            .map(file -> CalibrationFile.read(file, model.fingerprint()))
            .map(read -> SalienceCalibrator.patterns(read, LayerPattern.THRESHOLD));
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < cached.size(); i++) {
      int at = i;
      layers.add(
          new Layer(cached.get(i), patterns.map(all -> all.get(at)), masses.get(i).shares()));
    }
    return new PictureReport(prompts.size(), layers, run.rows());
  }

  private static List<KvCacheFormat> formats(int recent, Optional<Path> calibration) {
    WindowedFormats windowed = new WindowedFormats(recent, calibration);
    List<KvCacheFormat> formats = new ArrayList<>(windowed.all("bf16", "int8", "rotatekv-2"));
    formats.add(windowed.keepingAsAkvq("rotatekv-2"));
    formats.addAll(windowed.all("kv2", "akvq-2", "akvq-2-text4"));
    return formats;
  }

  void print(PrintWriter out) {
    out.printf(Locale.ROOT, "%d prompts with pictures, %d steps%n%n", prompts, steps());
    out.println("| format | KL, nats | top-1 | logit error | caption | bits | bytes | by class |");
    out.println("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (Row row : rows) {
      PictureQuality quality = row.quality();
      out.printf(
          Locale.ROOT,
          "| %s | %.5f | %.2f %% | %.2e | %.2f %% | %.3f | %,d | %s |%n",
          row.name(),
          quality.divergence(),
          100 * quality.agreement(),
          quality.logitError(),
          100 * quality.caption(),
          row.bits(),
          row.bytes(),
          row.classes().isEmpty() ? "-" : classes(row));
    }
    out.println();
    out.println("| layer | looks at | recent | pivot | text | visual |");
    out.println("| --- | --- | --- | --- | --- | --- |");
    for (Layer layer : layers) {
      out.printf("| %d | %s |", layer.index(), layer.pattern().map(Enum::name).orElse("-"));
      layer.shares().values().forEach(share -> out.printf(Locale.ROOT, " %.2f %% |", 100 * share));
      out.println();
    }
    out.printf("%nBits: of an element of any token, those in 16 bits and metadata included.%n");
    out.printf("Shares of the attention of answers, in 32 bits.%n");
  }

  private static String classes(Row row) {
    return new EnumMap<>(row.classes())
        .entrySet().stream()
            .map(of -> String.format(Locale.ROOT, "%s %,d", name(of.getKey()), of.getValue()))
            .collect(Collectors.joining(", "));
  }

  private static String name(TokenClass tokenClass) {
    return tokenClass.name().toLowerCase(Locale.ROOT);
  }

  private long steps() {
    return rows.get(0).quality().steps();
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("prompts", prompts).put("steps", steps());
    ArrayNode formats = node.putArray("formats");
    for (Row row : rows) {
      ObjectNode entry =
          formats
              .addObject()
              .put("format", row.name())
              .put("divergence", row.quality().divergence())
              .put("agreement", row.quality().agreement())
              .put("logitError", row.quality().logitError())
              .put("captionAgreement", row.quality().caption())
              .put("storedBitsPerElement", row.bits())
              .put("cacheBytes", row.bytes());
      if (!row.classes().isEmpty()) {
        ObjectNode bytes = entry.putObject("classBytes");
        row.classes().forEach((tokenClass, count) -> bytes.put(name(tokenClass), count));
      }
    }
    ArrayNode list = node.putArray("layers");
    for (Layer layer : layers) {
      ObjectNode entry = list.addObject().put("layer", layer.index());
      layer.pattern().ifPresent(pattern -> entry.put("pattern", pattern.name()));
      ObjectNode shares = entry.putObject("attention");
      layer.shares().forEach((tokenClass, share) -> shares.put(name(tokenClass), share));
    }
    return node;
  }
}
