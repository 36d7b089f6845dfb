package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The snippet of the README, as it stands there. */
final class ReadmeTest {
  @Test
  void snippetRuns() {
    // snippet
    int kvHeads = 2, heads = 16, headDim = 128;
    float scale = (float) Math.pow(headDim, -0.5);
    try (MemoryScope scope = new MemoryScope();
        KvCache cache = KvCache.create(kvHeads, headDim, DType.BF16)) {
      // A prompt of 100 tokens: keys and queries are rotated to their positions already.
      Tensor k = scope.allocate(DType.F32, 100, kvHeads, headDim);
      Tensor v = scope.allocate(DType.F32, 100, kvHeads, headDim);
      Tensor q = scope.allocate(DType.F32, 100, heads, headDim);
      Tensor out = scope.allocate(DType.F32, 100, heads, headDim);
      cache.append(k, v);
      CacheAttention.best().attend(q, cache, scale, out);

      // One more token on a branch; the branch shares the pages of the prompt.
      try (KvCache branch = cache.fork()) {
        branch.append(k.narrow(0, 0, 1), v.narrow(0, 0, 1));
        CacheAttention.best().attend(q.narrow(0, 0, 1), branch, scale, out.narrow(0, 0, 1));
      }
    }
    // end of snippet
  }

  @Test
  void snippetIsTheOneOfTheReadme() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "kv-quant");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/kvquant/ReadmeTest.java"));
    String start = "// snippet\n";
    String snippet =
        source.substring(
            source.indexOf(start) + start.length(), source.indexOf("    // end of snippet\n"));
    assertThat(Files.readString(module.resolve("README.md")))
        .contains("```java\n" + snippet.indent(-4) + "```");
  }
}
