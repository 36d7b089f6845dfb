package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The snippet of README.md, run; and the check that it still is the one shown there. */
final class ReadmeExampleTest {
  @Test
  void runs() {
    // snippet
    var tokens = // of one layer's cache: 4,096 in all, each in one class
        Map.of(TokenClass.RECENT, 128L, TokenClass.TEXT, 968L, TokenClass.VISUAL, 3000L);
    double textSalient = BitBudget.preset("akvq-2-text4").averageBits(tokens); // 2.91015625
    double allTwoBits = BitBudget.preset("akvq-2").averageBits(tokens); // 2.4375
    double smaller = 16 / textSalient; // than 16 bits: 5.5 times, before metadata
    // end of snippet
    assertThat(textSalient).isEqualTo(2.91015625);
    assertThat(allTwoBits).isEqualTo(2.4375);
    assertThat(smaller).isBetween(5.45, 5.55);
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "vlm-quant");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/vlmquant/ReadmeExampleTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
