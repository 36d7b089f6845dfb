package io.github.lightning4j.nd4j;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * The first snippet of README.md, run; and the check that all still are those shown there. The
 * others are run by RecallExampleTest and PolicyExampleTest.
 */
final class ReadmeExampleTest {
  @Test
  void runs() {
    // snippet
    INDArray x = Nd4j.createFromArray(new float[][] {{1, 2}, {3, 4}});
    INDArray w =
        Nd4j.createFromArray(new float[][] {{1, 1}, {0, 2}, {5, 0}}).castTo(DataType.BFLOAT16);
    try (Tensor out = Tensor.allocate(DType.F32, 2, 3)) {
      // out = x w^T, read from ND4J's memory
      Gemm.best().multiply(Nd4jTensors.toTensor(x), Nd4jTensors.toTensor(w), out);
      INDArray result = Nd4jTensors.toArray(out); // the same memory as out
      result.addi(1); // [[4, 5, 6], [8, 9, 16]], in out too
      // end of snippet
      assertThat(out.toFloats()).containsExactly(4, 5, 6, 8, 9, 16);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"ReadmeExampleTest", "example/RecallExample", "example/PolicyExample"})
  void isTheOneShown(String file) throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "nd4j");
    Path sources = module.resolve("src/test/java/io/github/lightning4j/nd4j");
    String source = Files.readString(sources.resolve(file + ".java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
