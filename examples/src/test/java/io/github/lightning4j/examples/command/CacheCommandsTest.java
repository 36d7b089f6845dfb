package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.collect.Lists;
import com.google.common.collect.Maps;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax calibrate}, {@code minimax kv-report}, and {@code --kv} of other commands. */
final class CacheCommandsTest {
  private static final Path TEXT =
      Repository.ROOT.resolve("model-minimax/src/test/resources/text/austen-heldout.txt");

  @TempDir private Path temp;

  private Path passage() throws Exception {
    return Files.writeString(temp.resolve("text.txt"), Files.readString(TEXT).substring(0, 2500));
  }

  private Path calibrate(Path text) {
    Path out = temp.resolve("nano.safetensors");
    CommandRun run =
        CommandRun.done("calibrate", "--model", Repository.NANO, "--text", text, "--out", out);
    assertThat(run.err()).matches("wrote the calibration of 1 layers over \\d+ tokens .*\\R");
    assertThat(run.out()).isEmpty();
    return out;
  }

  private static double perplexity(Path text, Object... more) {
    List<Object> words =
        Lists.newArrayList("perplexity", "--model", Repository.NANO, "--text", text, "--json");
    words.addAll(List.of(more));
    return CommandRun.done(words.toArray()).json().get("perplexity").asDouble();
  }

  @Test
  void fewerBitsChangeThePerplexityALittle() throws Exception {
    Path text = passage();
    Path calibration = calibrate(text);
    double exact = perplexity(text);
    double coarse = perplexity(text, "--kv", "naive-2");
    double calibrated = perplexity(text, "--kv", "rotatekv-2", "--kv-calibration", calibration);
    assertThat(coarse).isNotEqualTo(exact).isBetween(exact * 0.8, exact * 1.5);
    assertThat(calibrated).isNotEqualTo(exact).isBetween(exact * 0.8, exact * 1.5);
    assertThat(perplexity(text, "--kv", "rotatekv-2")).isNotEqualTo(calibrated);
    assertThat(perplexity(text, "--kv", "int8")).isBetween(exact * 0.999, exact * 1.001);
  }

  @Test
  void generateAndBenchTakeAFormat() throws Exception {
    Path calibration = calibrate(passage());
    CommandRun run =
        CommandRun.done(
            "generate",
            "--prompt-ids",
            "5,6,7",
            "--max-new-tokens",
            4,
            "--kv",
            "kv2",
            "--kv-calibration",
            calibration,
            "--model",
            Repository.NANO,
            "--json");
    assertThat(run.json().get("ids")).hasSize(4);
    assertThat(run.err()).isEmpty();
    CommandRun bench =
        CommandRun.done(
            "bench",
            "--prefill",
            20,
            "--decode",
            2,
            "--repeats",
            1,
            "--kv",
            "kv2",
            "--model",
            Repository.NANO);
    assertThat(bench.err()).contains("kv2 without a calibration").contains("minimax calibrate");
  }

  @Test
  void whatDoesNotFitIsRefused() throws Exception {
    Path calibration = calibrate(passage());
    Path other = Repository.fixture("alt_gqa_b32").resolve("hf");
    CommandRun.assertRefused(
        temp, "expected one of [f32, bf16", "bench", "--model", other, "--kv", "kv9");
    CommandRun.assertRefused(
        temp,
        "calibrate this model",
        "bench",
        "--model",
        other,
        "--kv",
        "kv2",
        "--kv-calibration",
        calibration);
    CommandRun.assertRefused(
        temp,
        "int8 needs none",
        "bench",
        "--model",
        other,
        "--kv",
        "int8",
        "--kv-calibration",
        calibration);
    CommandRun.assertRefused(
        temp,
        "--train-share",
        "calibrate",
        "--text",
        TEXT,
        "--out",
        temp.resolve("x"),
        "--train-share",
        2);
  }

  @Test
  void theReportHoldsAllFormatsAgainstSixteenBits() throws Exception {
    Path png = temp.resolve("kv.png");
    JsonNode report =
        CommandRun.done(
                "kv-report",
                "--model",
                Repository.NANO,
                "--text",
                passage(),
                "--tokens",
                300,
                "--context",
                300,
                "--decode",
                1,
                "--repeats",
                1,
                "--out",
                png,
                "--json")
            .json();
    Map<String, JsonNode> rows = Maps.newHashMap();
    report.get("formats").forEach(row -> rows.put(row.get("format").asText(), row));
    assertThat(rows)
        .containsKeys(
            "bf16",
            "int8",
            "naive-4",
            "naive-3",
            "naive-2",
            "kivi-2",
            "quarot-2",
            "rotatekv-4",
            "rotatekv-3",
            "rotatekv-2",
            "kv2");
    JsonNode base = rows.get("bf16");
    assertThat(base.get("divergence").asDouble()).isZero();
    assertThat(base.get("agreement").asDouble()).isEqualTo(1);
    assertThat(base.get("bitsPerElement").asDouble()).isEqualTo(16);
    assertThat(rows.get("naive-2").get("divergence").asDouble())
        .isGreaterThan(rows.get("naive-4").get("divergence").asDouble());
    assertThat(rows.get("naive-4").get("divergence").asDouble())
        .isGreaterThan(rows.get("int8").get("divergence").asDouble());
    assertThat(rows.get("rotatekv-2").get("cacheBytes").asLong())
        .isPositive()
        .isLessThan(base.get("cacheBytes").asLong());
    assertThat(rows.get("kivi-2").get("packed").asBoolean()).isFalse();
    assertThat(ImageIO.read(png.toFile()).getWidth()).isPositive();
  }

  @Test
  void theReportIsATableToo() throws Exception {
    CommandRun run =
        CommandRun.done(
            "kv-report",
            "--model",
            Repository.NANO,
            "--text",
            passage(),
            "--tokens",
            20,
            "--context",
            8,
            "--decode",
            1,
            "--repeats",
            1);
    assertThat(run.out()).contains("| bf16 | ").contains("| kivi-2 | ").contains("~3.000");
  }
}
