package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.comm.RankTask;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The snippet of README.md on experts over ranks, run; and the check that it is still shown. */
final class ReadmeParallelTest {
  @Test
  void runs() {
    try (Layer layer = new Layer(24, DType.BF16, Load.EVEN)) {
      ExpertWeights weights = layer.weights;
      Tensor allOut = layer.scope.allocate(DType.F32, layer.x.shape());
      // snippet
      ExpertParallelism sizes = new ExpertParallelism(2, 2, 1); // EP, ETP, EDP: 4 ranks
      RankTask task =
          world -> {
            ExpertWeights local = sizes.shard(weights, world.rank()); // views of 4 half experts
            ParallelOptions options = ParallelOptions.DEFAULT.withTokenGroups(2);
            String checkpoint = "sha256:..."; // CheckpointFingerprint.of(your Safetensors)
            try (ParallelWorkspace workspace = new ParallelWorkspace(); // one for all layers
                ParallelExperts experts =
                    ParallelExperts.of(world, sizes, 8, local, options, checkpoint)) {
              Tensor x = mine(layer.x, world.rank()); // this rank's tokens, as many as it has
              Tensor out = mine(allOut, world.rank());
              Tensor index = mine(layer.index, world.rank());
              Tensor weight = mine(layer.weight, world.rank());
              experts.forward(x, index, weight, workspace, out);
            }
          };
      ThreadCommunicator.run(4, task);
      // end of snippet
      Layer.assertClose("out", allOut, layer.answer(weights));
    }
  }

  private static Tensor mine(Tensor rows, int rank) {
    return rows.narrow(0, 6L * rank, 6);
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve(
                "src/test/java/io/github/lightning4j/moe/parallel/ReadmeParallelTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
