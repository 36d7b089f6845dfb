package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The snippet of README.md, run; and the check that it still is the one shown there. */
final class ReadmeExampleTest {
  @Test
  void runs() {
    // snippet
    int tokens = 3, hidden = 64, inner = 128, experts = 8, k = 2;
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, tokens, hidden); // your activations
      Tensor router = scope.allocate(DType.F32, experts, hidden); // your weights
      Tensor gateUp = scope.allocate(DType.BF16, experts, 2 * inner, hidden);
      Tensor down = scope.allocate(DType.BF16, experts, hidden, inner);
      Tensor logits = scope.allocate(DType.F32, tokens, experts);
      Tensor index = scope.allocate(DType.I32, tokens, k);
      Tensor weight = scope.allocate(DType.F32, tokens, k);
      Tensor out = scope.allocate(DType.F32, tokens, hidden);
      MoeWorkspace workspace = scope.add(new MoeWorkspace()); // keep it from call to call

      Gemm.best().multiply(x, router, logits);
      Router.best().route(logits, k, index, weight);
      ExpertWeights weights = ExpertWeights.ofFused(gateUp, down); // views, no copy
      MixtureOfExperts.best().forward(x, weights, index, weight, workspace, out);
      int[] tokensOfEachExpert = workspace.plan().counts();
      // end of snippet
      assertThat(tokensOfEachExpert).containsExactly(3, 3, 0, 0, 0, 0, 0, 0);
      assertThat(out.toFloats()).containsOnly(0);
    }
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/moe/ReadmeExampleTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
