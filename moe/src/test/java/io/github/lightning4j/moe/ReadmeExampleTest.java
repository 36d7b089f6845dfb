package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.balance.LoadStatistics;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The snippets of README.md, run; and the check that they still are those shown there. */
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

      // snippet of capacity
      DispatchPlan plan = workspace.plan();
      plan.build(index, experts, Capacity.ofFactor(1.25), weight); // largest weights, first tokens
      MixtureOfExperts.best().forward(x, weights, plan, weight, workspace, out);
      double dropped = LoadStatistics.of(plan).fractionDropped();
      // end of snippet
      assertThat(dropped).isEqualTo(4.0 / 6); // one token for each of two experts
    }
  }

  @Test
  void placesReplicas() {
    // snippet of replicas
    double[] load = {90, 5, 20, 15}; // LoadStatistics.loads() of a window
    ReplicaPlacement placement = ReplicaPlacement.flat(load, 6, 2); // 6 physical experts on 2 GPUs
    int[] expertOfPlace = placement.physicalToLogical(); // GPU 0 holds the first three
    // end of snippet
    assertThat(expertOfPlace).hasSize(6).contains(0, 1, 2, 3);
    assertThat(placement.replicas(0)).isEqualTo(3);
  }

  @Test
  void areThoseShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/moe/ReadmeExampleTest.java"));
    String readme = Files.readString(module.resolve("README.md"));
    for (String start :
        List.of("// snippet\n", "// snippet of capacity\n", "// snippet of replicas\n")) {
      int from = source.indexOf(start) + start.length();
      String snippet = source.substring(from, source.indexOf("// end of snippet", from));
      assertThat(readme).contains(snippet.stripIndent().strip());
    }
  }
}
