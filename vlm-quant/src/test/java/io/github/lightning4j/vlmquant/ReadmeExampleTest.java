package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The snippet of README.md, run; and the check that it still is the one shown there. */
final class ReadmeExampleTest {
  private final MemoryScope scope = new MemoryScope();

  private Tensor tokens(int count, int heads) {
    return scope.add(Cases.normal(count + heads, DType.F32, count, heads, 128));
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void runs() {
    int kvHeads = 2;
    int headDim = 128;
    int layer = 0;
    float scale = (float) Math.pow(headDim, -0.5);
    Tensor hidden = scope.add(Cases.normal(1, DType.F32, 499, 64));
    Tensor k = tokens(499, kvHeads);
    Tensor v = tokens(499, kvHeads);
    Tensor q = tokens(499, 4);
    Tensor out = tokens(499, 4);
    Tensor nextK = tokens(1, kvHeads);
    Tensor nextV = tokens(1, kvHeads);
    Tensor nextQ = tokens(1, 4);
    Tensor nextOut = tokens(1, 4);
    TokenClass[] classes = new TokenClass[499];
    Arrays.fill(classes, TokenClass.VISUAL);
    // snippet
    VlmPolicy policy = VlmPolicy.preset("akvq-2");
    VlmCacheConfig config =
        VlmCacheConfig.of(kvHeads, headDim, policy, LayerPattern.PIVOT_SALIENT, layer);
    PivotDetector detector = new PivotDetector(config.pivots());
    detector.add(hidden, 0); // the layer's input, before its norm
    try (VlmCache cache = VlmCache.create(config)) {
      cache.beginPrompt();
      cache.append(k, v, classes); // TEXT or VISUAL for each token; keys after the rotary embedding
      VlmAttention.best().attend(q, cache, scale, out); // a prompt reads itself exactly
      cache.endPrompt(detector.pivots()); // the others are quantized, but for 128 recent ones

      cache.append(nextK, nextV); // a token of text
      VlmAttention.best().attend(nextQ, cache, scale, nextOut);
      double bits = cache.account().averageBits(); // an element, scales and zero points included
    }
    // end of snippet
    assertThat(nextOut.toDoubles()).doesNotContain(Double.NaN);
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
