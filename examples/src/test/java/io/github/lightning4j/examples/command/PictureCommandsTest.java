package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.collect.Maps;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax calibrate} and {@code minimax kv-report} over pictures. */
final class PictureCommandsTest {
  private static final Path MODEL = Repository.fixture("vl-tiny/quickgelu_8l/orig");
  private static final Path GRAY = Repository.fixture("vl-preprocess/images/gray.png");
  private static final Path ROW = Repository.fixture("vl-preprocess/images/row_1px.png");

  /** Text on both sides of the pictures; the tiny model has no tokenizer. */
  private static String ids() {
    int image = Repository.json(MODEL.resolve("config.json")).get("image_token_index").asInt();
    return "1,2,3,4,5,6,7,8,%d,9,10,%d,11,12,13,14".formatted(image, image);
  }

  @TempDir private Path temp;

  private Path calibrate() {
    Path out = temp.resolve("seen.safetensors");
    CommandRun run =
        CommandRun.done(
            "calibrate",
            "--model",
            MODEL,
            "--image",
            GRAY,
            "--image",
            ROW,
            "--prompt-ids",
            ids(),
            "--recent",
            2,
            "--out",
            out);
    assertThat(run.err())
        .containsPattern("over \\d+ tokens of 2 pictures from gray.png")
        .containsPattern("layers: (TSA|PSA) \\(\\d+\\.\\d\\d\\)");
    return out;
  }

  private static JsonNode report(Object... more) {
    Object[] words = {
      "kv-report",
      "--model",
      MODEL,
      "--image",
      GRAY,
      "--image",
      ROW,
      "--prompt-ids",
      ids(),
      "--recent",
      8,
      "--decode",
      12,
      "--json"
    };
    Object[] all = java.util.Arrays.copyOf(words, words.length + more.length);
    System.arraycopy(more, 0, all, words.length, more.length);
    return CommandRun.done(all).json().get("pictures");
  }

  @Test
  void theReportTellsClassesAndQuality() {
    JsonNode report = report("--kv-calibration", calibrate());
    assertThat(report.get("prompts").asInt()).isEqualTo(1);
    assertThat(report.get("steps").asInt()).isEqualTo(12);
    Map<String, JsonNode> rows = Maps.newHashMap();
    report.get("formats").forEach(row -> rows.put(row.get("format").asText(), row));
    assertThat(rows)
        .containsOnlyKeys(
            "bf16", "int8", "rotatekv-2", "rotatekv-2 + window", "kv2", "akvq-2", "akvq-2-text4");
    assertThat(rows.get("bf16").get("storedBitsPerElement").asDouble()).isEqualTo(16);
    assertThat(rows.get("int8").get("storedBitsPerElement").asDouble()).isBetween(8.0, 11.0);
    for (String name : new String[] {"rotatekv-2 + window", "kv2", "akvq-2", "akvq-2-text4"}) {
      assertThat(rows.get(name).get("storedBitsPerElement").asDouble())
          .as(name)
          .isGreaterThan(rows.get("rotatekv-2").get("storedBitsPerElement").asDouble());
    }
    JsonNode base = rows.get("bf16");
    assertThat(base.get("divergence").asDouble()).isZero();
    assertThat(base.get("logitError").asDouble()).isZero();
    assertThat(base.get("captionAgreement").asDouble()).isEqualTo(1);
    assertThat(base.has("classBytes")).isFalse();
    for (String name : new String[] {"akvq-2", "akvq-2-text4"}) {
      JsonNode row = rows.get(name);
      assertThat(row.get("divergence").asDouble()).isPositive();
      assertThat(row.get("logitError").asDouble()).isBetween(1e-9, 0.5);
      assertThat(row.get("classBytes").get("visual").asLong()).isPositive();
      assertThat(row.get("classBytes").get("recent").asLong()).isPositive();
    }
    assertThat(rows.get("akvq-2-text4").get("classBytes").get("text").asLong())
        .isGreaterThanOrEqualTo(rows.get("akvq-2").get("classBytes").get("text").asLong());
    for (JsonNode layer : report.get("layers")) {
      assertThat(layer.get("pattern").asText()).endsWith("_SALIENT");
      double sum = 0;
      for (JsonNode share : layer.get("attention")) {
        assertThat(share.asDouble()).isPositive();
        sum += share.asDouble();
      }
      assertThat(sum).isCloseTo(1, within(1e-9));
    }
  }

  @Test
  void theReportIsATableAndNeedsNoCalibration() {
    assertThat(report().get("layers").get(0).has("pattern")).isFalse();
    CommandRun run =
        CommandRun.done(
            "kv-report",
            "--model",
            MODEL,
            "--image",
            GRAY,
            "--image",
            ROW,
            "--prompt-ids",
            ids(),
            "--decode",
            2);
    assertThat(run.out())
        .contains("1 prompts with pictures, 2 steps")
        .contains("| akvq-2 | ")
        .containsPattern("recent [\\d,]+, pivot [\\d,]+")
        .contains("| layer | looks at |");
  }

  @Test
  void calibratedPatternsAreUsed() {
    Path calibration = calibrate();
    CommandRun run =
        CommandRun.done(
            "generate",
            "--model",
            MODEL,
            "--image",
            GRAY,
            "--image",
            ROW,
            "--prompt-ids",
            ids(),
            "--kv",
            "akvq-2",
            "--kv-calibration",
            calibration,
            "--max-new-tokens",
            4,
            "--json");
    assertThat(run.json().get("ids")).hasSize(4);
    assertThat(run.err()).isEmpty();
  }

  @Test
  void whatDoesNotFitIsRefused() {
    Path out = temp.resolve("x");
    Path nano = Repository.NANO;
    CommandRun.assertRefused(
        temp,
        "expected --text, or --image with --prompt",
        "calibrate",
        "--model",
        MODEL,
        "--out",
        out);
    CommandRun.assertRefused(
        temp, "--image: expected --prompt", "kv-report", "--model", MODEL, "--image", GRAY);
    CommandRun.assertRefused(
        temp, "--prompt: expected --image", "kv-report", "--model", MODEL, "--prompt", "what");
    CommandRun.assertRefused(
        temp, "reads text only", "kv-report", "--model", nano, "--image", GRAY, "--prompt", "what");
    CommandRun.assertRefused(
        temp, "expected --pictures with it", "kv-report", "--model", MODEL, "--captions", GRAY);
    CommandRun.assertRefused(
        temp,
        "expected no --image with it",
        "calibrate",
        "--model",
        MODEL,
        "--captions",
        temp.resolve("x.tsv"),
        "--pictures",
        temp,
        "--image",
        GRAY,
        "--out",
        out);
    CommandRun.assertRefused(
        temp,
        "expected one --prompt with it",
        "calibrate",
        "--model",
        MODEL,
        "--captions",
        temp.resolve("x.tsv"),
        "--pictures",
        temp,
        "--prompt",
        "<image><image>",
        "--out",
        out);
    CommandRun.assertRefused(
        temp,
        "a divisor of the 1 given, got 2",
        "kv-report",
        "--model",
        MODEL,
        "--image",
        GRAY,
        "--prompt-ids",
        ids());
    CommandRun.assertRefused(
        temp,
        "put text on both sides of the picture",
        "calibrate",
        "--model",
        MODEL,
        "--image",
        GRAY,
        "--image",
        ROW,
        "--prompt-ids",
        ids(),
        "--out",
        out);
  }
}
