package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.loss.AuxLoss;
import io.github.lightning4j.moe.loss.BalanceLoss;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import io.github.lightning4j.moe.loss.LossValues;
import io.github.lightning4j.moe.loss.RouterBatch;
import io.github.lightning4j.moe.loss.ZLoss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The training snippet of README.md, run; and the check that it still is the one shown there. */
final class ReadmeTrainingTest {
  @Test
  void runs() {
    int tokens = 6;
    int experts = 16;
    int hidden = 8;
    long step = 1;
    SumOverRanks ranks = SumOverRanks.single();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, tokens, hidden));
      Tensor router = scope.add(Cases.normal(2, DType.F32, experts, hidden));
      Tensor logits = scope.allocate(DType.F32, tokens, experts);
      Tensor dLogits = scope.allocate(DType.F32, tokens, experts);
      Tensor dAux = scope.allocate(DType.F32, tokens, experts);
      Tensor index = scope.allocate(DType.I32, tokens, 4);
      Tensor weight = scope.allocate(DType.F32, tokens, 4);
      Tensor dWeight = scope.add(Cases.normal(3, DType.F32, tokens, 4));
      Tensor mask = scope.add(Tensor.of(new int[] {1, 1, 1, 1, 1, 0}, tokens));
      ExpertBias bias = new ExpertBias(scope.allocate(DType.F32, experts), 0.001);
      // snippet
      RouterOptions options =
          RouterOptions.topK(4).withScore(Score.SIGMOID).withGroups(4, 2, 2).withScale(2.5f);
      AuxLoss aux =
          AuxLoss.of(
                  BalanceLoss.of(0.01).withScope(Scope.GLOBAL_BATCH),
                  new ZLoss(0.001).withScope(Scope.GLOBAL_BATCH))
              .withScore(Score.SIGMOID)
              .withRanks(ranks); // SumOverRanks.over(world), or your own

      Router.best().jitter(x, 0.01, step, x); // the same call takes the gradient back
      Gemm.best().multiply(x, router, logits);
      Router.best().route(logits, options, bias.bias(), index, weight);
      // experts forward and backward, then
      Router.best().backward(logits, options, index, dWeight, dLogits);
      RouterBatch batch = RouterBatch.of(List.of(logits), List.of(index)).withMask(mask);
      LossValues values = aux.evaluate(batch, List.of(dAux)); // add dAux to dLogits
      bias.add(index, mask);
      bias.update(ranks); // once a step
      // end of snippet
      assertThat(values.values()).hasSize(2).allMatch(value -> value > 0);
      assertThat(values.total())
          .isEqualTo(0.01 * values.values().get(0) + 0.001 * values.values().get(1));
      assertThat(dLogits.toFloats()).doesNotContain(Float.NaN);
      assertThat(bias.bias().toFloats()).contains(0.001f, -0.001f);
    }
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/moe/ReadmeTrainingTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}
