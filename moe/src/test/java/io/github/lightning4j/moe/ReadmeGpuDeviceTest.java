package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The snippet of README.md for GPUs, run; and the check that it still is the one shown there. */
@RequiresCuda
final class ReadmeGpuDeviceTest {
  @Test
  void runs() {
    try (CudaScene scene = new CudaScene(3, 16, 8, 4, 2, null)) {
      CudaStream stream = scene.gpu.stream();
      Experts weights = scene.experts;
      Tensor x = scene.up(scene.x);
      Tensor logits = scene.up(scene.logits);
      Tensor out = scene.gpu.allocate(DType.F32, 3, 16);
      // snippet
      try (CudaExpertWeights there = CudaExpertWeights.of(stream, weights); // BF16, or quantized
          CudaMoeWorkspace workspace = CudaMoeWorkspace.allocate(there, 4096, 2)) { // tokens, k
        CudaMixtureOfExperts.on(stream)
            .forward(x, logits, RouterOptions.topK(2), null, there, workspace, out);
        stream.synchronize(); // nothing else waits
      }
      // end of snippet
      Closeness.assertNmse("out", scene.gpu.doubles(out), scene.expected(null), 1e-5);
    }
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/moe/ReadmeGpuDeviceTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet", from));
    assertThat(Files.readString(module.resolve("README.md")))
        .contains(snippet.stripIndent().strip());
  }
}
