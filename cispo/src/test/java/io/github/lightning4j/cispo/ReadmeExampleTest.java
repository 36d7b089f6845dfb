package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The snippet of README.md, run; and the check that it still is the one shown there. */
final class ReadmeExampleTest {
  @Test
  void runs() {
    // snippet
    double[][] logProbs = {{-1.2, -0.4, -2.0}, {-0.7, -1.5}}; // of the policy that learns
    double[][] oldLogProbs = {{-1.0, -0.5, -3.1}, {-0.9, -1.5}}; // of the one that sampled
    double[] advantages = {1, -1}; // one a sequence
    TokenBatch batch = TokenBatch.ragged(logProbs, oldLogProbs, advantages);

    PolicyLoss loss = Cispo.maxWeight(2); // the paper's epsilon_high = 1, TRL's epsilon_high = 2
    LossResult result = loss.evaluate(batch);
    double value = result.loss(); // 0.6139
    double[][] gradient = result.gradient(); // d loss / d logProbs: feed it to your backward pass
    double clipped = result.diagnostics().clippedAbove(); // 0.2: one ratio of five is above 2
    // end of snippet
    double e1 = Math.exp(-0.2);
    double e2 = Math.exp(0.1);
    double e3 = Math.exp(0.2);
    assertThat(value)
        .isCloseTo((1.2 * e1 + 0.4 * e2 + 2 * 2 - 0.7 * e3 - 1.5) / 5, within(1e-15))
        .isCloseTo(0.6139, within(5e-5));
    assertThat(gradient[0]).containsExactly(new double[] {-e1 / 5, -e2 / 5, -0.4}, within(1e-15));
    assertThat(gradient[1]).containsExactly(new double[] {e3 / 5, 0.2}, within(1e-15));
    assertThat(clipped).isEqualTo(0.2);
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "cispo");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/cispo/ReadmeExampleTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
