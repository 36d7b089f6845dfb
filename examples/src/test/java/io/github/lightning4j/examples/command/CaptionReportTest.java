package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.collect.Lists;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax caption-report}, on a model trained for it and pictures that were held out. */
final class CaptionReportTest {
  private static final int TOKENS = 80;

  /** Pictures to measure on; the others calibrate. */
  private static final int MEASURED = 16;

  /** Recent tokens: of 350 in all, so that most of a picture's leave the window. */
  private static final int RECENT = 16;

  /** Somewhat below the share of names right with 16 bits. */
  private static final double FLOOR = 0.65;

  @TempDir private static Path model;

  @BeforeAll
  static void assemble() throws Exception {
    CaptionCheckpoint.write(model);
  }

  @Test
  void thirtyTwoBitsSayWhatPyTorchSays() {
    JsonNode expected = Repository.json(CaptionCheckpoint.FOLDER.resolve("expected.json"));
    String prompt = expected.get("prompt").asText();
    List<CaptionedPicture> pictures = CaptionCheckpoint.pictures();
    assertThat(expected.get("captions")).hasSizeBetween(8, pictures.size());
    double right = 0;
    try (TextModel open = new TextModel(MiniMaxModel.load(model), Tokenizer.load(model))) {
      Captioner captioner = new Captioner(open.model(), open.tokenizer(), ".", TOKENS);
      for (int i = 0; i < expected.get("captions").size(); i++) {
        List<RgbImage> picture = List.of(RgbImage.read(pictures.get(i).picture()));
        try (ImagePrompt read = open.imagePrompt("--prompt", prompt, picture)) {
          String said = captioner.caption(read, KvCacheFormat.F32).text();
          assertThat(said).isEqualTo(expected.get("captions").get(i).asText());
          right += pictures.get(i).right(said) / expected.get("captions").size();
        }
      }
    }
    assertThat(right).isCloseTo(expected.get("namesRight").asDouble(), within(1e-9));
  }

  @Test
  void fewerBitsNameFewerThingsAndClassesKeepMostOfThem() throws Exception {
    List<String> lines = Files.readAllLines(CaptionCheckpoint.FOLDER.resolve("captions.tsv"));
    Path measured = Files.write(model.resolve("measured.tsv"), lines.subList(0, MEASURED));
    JsonNode report =
        CommandRun.done(
                "caption-report",
                "--model",
                model,
                "--pictures",
                CaptionCheckpoint.FOLDER.resolve("pictures"),
                "--captions",
                measured,
                "--recent",
                RECENT,
                "--kv-calibration",
                calibrate(lines.subList(MEASURED, lines.size())),
                "--json")
            .json();
    assertThat(report.get("pictures").asInt()).isEqualTo(MEASURED);
    double exact = right(report, "f16");
    assertThat(exact).isGreaterThan(FLOOR);
    assertThat(right(report, "naive-2")).isLessThan(exact - 0.05);
    for (String better : List.of("kivi-2", "rotatekv-2", "kv2", "akvq-2", "akvq-2-lm")) {
      assertThat(right(report, better)).as(better).isGreaterThan(right(report, "naive-2") + 0.05);
    }
    assertThat(right(report, "akvq-2")).isBetween(exact - 0.1, exact + 0.05);
    assertThat(storedBits(report, "f16")).isEqualTo(16);
    assertThat(storedBits(report, "naive-2")).isEqualTo(2.25); // heads of 64, nothing kept
    for (String windowed : List.of("rotatekv-2 + window", "akvq-2", "akvq-2-text4", "akvq-2-lm")) {
      double kept = RECENT * (16 - 2.25) / 360;
      assertThat(storedBits(report, windowed)).as(windowed).isBetween(2.1875 + kept, 4.0);
    }
    for (JsonNode format : report.get("formats")) {
      double change = format.get("namesRight").asDouble() - exact;
      assertThat(format.get("change").asDouble()).isCloseTo(change, within(1e-9));
      assertThat(format.get("captions")).hasSize(MEASURED);
      boolean classes = format.get("format").asText().startsWith("akvq");
      double most = classes ? 3.5 : format.get("format").asText().equals("f16") ? 16 : 3;
      assertThat(format.get("bitsPerElement").asDouble()).isBetween(2.0, most);
      boolean simulated = format.get("format").asText().startsWith("kivi");
      assertThat(format.has("storedBitsPerElement")).isNotEqualTo(simulated);
    }
  }

  /** On pictures that nothing is measured on, each with its own caption behind it to look at. */
  private static Path calibrate(List<String> lines) throws IOException {
    Path out = model.resolve("calibration.safetensors");
    CommandRun run =
        CommandRun.done(
            "calibrate",
            "--model",
            model,
            "--recent",
            RECENT,
            "--pictures",
            CaptionCheckpoint.FOLDER.resolve("pictures"),
            "--captions",
            Files.write(model.resolve("calibrate.tsv"), lines),
            "--prompt",
            "<image>\nI see",
            "--out",
            out);
    assertThat(run.err())
        .contains("tokens of pictures of calibrate.tsv to")
        .containsPattern("layers: TSA \\(1[0-9]\\.\\d\\d\\)");
    return out;
  }

  private static double right(JsonNode report, String format) {
    return told(report, format, "namesRight");
  }

  private static double storedBits(JsonNode report, String format) {
    return told(report, format, "storedBitsPerElement");
  }

  private static double told(JsonNode report, String format, String what) {
    return StreamSupport.stream(report.get("formats").spliterator(), false)
        .filter(row -> row.get("format").asText().equals(format))
        .mapToDouble(row -> row.get(what).asDouble())
        .findFirst()
        .orElseThrow();
  }

  @Test
  void whatDoesNotFitIsRefused() throws Exception {
    Path broken = Files.writeString(model.resolve("broken.tsv"), "000.png\ta\tb\n");
    Path pictures = CaptionCheckpoint.FOLDER.resolve("pictures");
    Path captions = CaptionCheckpoint.FOLDER.resolve("captions.tsv");
    refused("in line 1 of", "--model", model, "--pictures", pictures, "--captions", broken);
    refused(
        "reads text only",
        "--model",
        Repository.NANO,
        "--pictures",
        pictures,
        "--captions",
        captions);
    refused(
        "expected one <image>",
        "--model",
        model,
        "--pictures",
        pictures,
        "--captions",
        captions,
        "--prompt",
        "I see");
  }

  private static void refused(String says, Object... words) {
    List<Object> all = Lists.newArrayList("caption-report");
    all.addAll(List.of(words));
    CommandRun.assertRefused(model, says, all.toArray());
  }

  @Test
  void anIntervalIsThatOfTheNormalApproximation() {
    MeanInterval interval = MeanInterval.of(0, 1, 1, 0);
    assertThat(interval.mean()).isEqualTo(0.5);
    assertThat(interval.halfWidth()).isCloseTo(1.959964 * Math.sqrt(1 / 3.0 / 4), within(1e-12));
    assertThat(MeanInterval.of(3).halfWidth()).isZero();
    CaptionedPicture picture = new CaptionedPicture(Path.of("x.png"), List.of("a", "b", "c", "d"));
    assertThat(picture.right(" a, c, c")).isEqualTo(0.5);
  }
}
