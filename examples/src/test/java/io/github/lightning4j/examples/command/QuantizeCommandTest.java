package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax quantize}, and {@code --weights} of the other commands. */
final class QuantizeCommandTest {
  @TempDir private Path temp;

  private static JsonNode greedy(Object... model) {
    Object[] words = new Object[model.length + 6];
    System.arraycopy(model, 0, words, 6, model.length);
    words[0] = "generate";
    words[1] = "--prompt";
    words[2] = "It is a truth";
    words[3] = "--max-new-tokens";
    words[4] = 12;
    words[5] = "--json";
    return CommandRun.done(words).json().get("ids");
  }

  @Test
  void whatItWritesIsWhatWeightsMakesAtLoad() throws IOException {
    Path out = temp.resolve("int4");
    CommandRun run =
        CommandRun.done(
            "quantize", "--model", Repository.NANO, "--weights", "int4,head=int8", "--out", out);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).contains("wrote weights as experts=int4/64,attention=int4/64,head=int8");
    assertThat(Files.size(out.resolve("model.safetensors")))
        .isLessThan(Files.size(Repository.NANO.resolve("model.safetensors")) * 2 / 5);
    assertThat(greedy("--model", out))
        .isEqualTo(greedy("--model", Repository.NANO, "--weights", "int4,head=int8"));
  }

  @Test
  void readsAndMeasuresWhatItWrote() throws IOException {
    Path out = temp.resolve("int8");
    CommandRun.done("quantize", "--weights", "int8", "--out", out);
    Path text = Files.writeString(temp.resolve("text.txt"), "She was not at home.");
    double coded =
        CommandRun.done("perplexity", "--model", out, "--text", text, "--json")
            .json()
            .get("perplexity")
            .asDouble();
    double loaded =
        CommandRun.done("perplexity", "--weights", "int8", "--text", text, "--json")
            .json()
            .get("perplexity")
            .asDouble();
    assertThat(coded).isEqualTo(loaded);
    JsonNode report = CommandRun.done("inspect", "--model", out, "--json").json();
    assertThat(report.get("storedAs").asText()).isEqualTo("quantized as int8/128");
  }

  @Test
  void refusesWhatCannotBe() throws IOException {
    Path out = temp.resolve("out");
    CommandRun.assertRefused(
        temp, "expected one of bf16, int8, int4", "quantize", "--weights", "q4", "--out", out);
    CommandRun.assertRefused(
        temp, "expected one of bf16, int8, int4", "generate", "--weights", "fp8");
    Path full = Files.createDirectory(temp.resolve("full"));
    Files.writeString(full.resolve("a"), "b");
    CommandRun.assertRefused(
        temp, "expected a new or an empty folder", "quantize", "--weights", "int8", "--out", full);
    CommandRun.assertRefused( // before it looks at the model
        temp,
        "expected a new or an empty folder",
        "quantize",
        "--model",
        temp.resolve("nowhere"),
        "--weights",
        "int8",
        "--out",
        full);
    CommandRun.done("quantize", "--weights", "int8", "--out", out);
    CommandRun.assertRefused(
        temp, "cannot become int4/64", "generate", "--model", out, "--weights", "int4");
  }
}
