package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax perplexity}. */
final class PerplexityCommandTest {
  private static final String TEXT =
      "She had been a very good sort of woman, and he could not but be pleased with her. In the"
          + " morning they walked to the house, and nobody was at home.";

  @TempDir private Path temp;

  @Test
  void agreesWithTheSumOverSingleSteps() throws Exception {
    Path file = Files.writeString(temp.resolve("text.txt"), TEXT);
    int[] ids;
    try (Tokenizer tokenizer = Tokenizer.load(Repository.NANO)) {
      ids = tokenizer.encode(TEXT);
    }
    // A window that leaves one token over, which then tells nothing.
    int window = (ids.length - 1) / 2;
    assertThat(2 * window + 1).isBetween(ids.length - 1, ids.length);
    for (int size : new int[] {window, 7, 1000}) {
      JsonNode result =
          CommandRun.done("perplexity", "--text", file, "--window", size, "--json").json();
      Steps steps = Steps.of(ids, size);
      assertThat(result.get("tokens").asLong()).isEqualTo(steps.tokens);
      assertThat(result.get("perplexity").asDouble())
          .isCloseTo(Math.exp(steps.sum / steps.tokens), Percentage.withPercentage(0.001));
    }
  }

  /** The same sum, from the logits of one decoded token after another. */
  private record Steps(double sum, long tokens) {
    static Steps of(int[] ids, int window) {
      double sum = 0;
      long tokens = 0;
      try (MiniMaxModel model = MiniMaxModel.load(Repository.NANO)) {
        for (int from = 0; from < ids.length; from += window) {
          int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + window));
          try (Session session = model.newSession()) {
            for (int t = 0; t + 1 < part.length; t++) {
              sum += surprise(session.decode(part[t]), part[t + 1]);
              tokens++;
            }
          }
        }
      }
      return new Steps(sum, tokens);
    }

    private static double surprise(float[] logits, int id) {
      double total = 0;
      for (float logit : logits) {
        total += Math.exp(logit);
      }
      return Math.log(total) - logits[id];
    }
  }

  @Test
  void saysItInWordsToo() throws Exception {
    Path file = Files.writeString(temp.resolve("text.txt"), TEXT);
    CommandRun run = CommandRun.done("perplexity", "--model", Repository.NANO, "--text", file);
    assertThat(run.out()).matches("perplexity \\d+\\.\\d{4} over \\d+ tokens\\R");
  }

  @Test
  void ofHeldOutTextIsAsStated() {
    Path text = Repository.ROOT.resolve("model-minimax/src/test/resources/text/austen-heldout.txt");
    JsonNode stated = Repository.json(Repository.NANO.resolve("expected.json")).get("perplexity");
    JsonNode result =
        CommandRun.done("perplexity", "--text", text, "--window", 512, "--json").json();
    assertThat(result.get("tokens").asLong()).isEqualTo(stated.get("tokens_512").asLong());
    double expected = stated.get("window_512").asDouble();
    assertThat(result.get("perplexity").asDouble()).isCloseTo(expected, within(0.005 * expected));
  }
}
