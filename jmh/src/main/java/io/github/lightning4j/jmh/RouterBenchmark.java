package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Router;
import io.github.lightning4j.moe.RouterOptions;
import io.github.lightning4j.moe.RouterOptions.Score;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * Routing without its product, {@code [tokens, E]} logits in: top-2 of few experts by softmax, and
 * top-8 of 256 by sigmoid in 8 groups of which 4 count, with a bias. Reads the logits, 4 E bytes a
 * token, and writes 8 k.
 */
public class RouterBenchmark extends OperatorBenchmark {
  /** How experts are chosen. */
  public enum Choice {
    TOP_2_OF_8(8, RouterOptions.topK(2)),
    TOP_2_OF_32(32, RouterOptions.topK(2)),
    TOP_8_OF_256(256, RouterOptions.topK(8).withScore(Score.SIGMOID).withGroups(8, 4, 2));

    private final int experts;
    private final RouterOptions options;

    Choice(int experts, RouterOptions options) {
      this.experts = experts;
      this.options = options;
    }
  }

  @Param({"1", "512", "4096"})
  int tokens;

  @Param Choice choice;

  private final Router router = Router.best();
  private Tensor logits;
  private Tensor bias;
  private Tensor index;
  private Tensor weight;
  private Tensor dWeight;
  private Tensor dLogits;

  /** Fills the operands. */
  @Setup
  public void open() {
    logits = normal(DType.F32, tokens, choice.experts);
    bias = zeros(DType.F32, choice.experts);
    index = zeros(DType.I32, tokens, choice.options.k());
    weight = zeros(DType.F32, tokens, choice.options.k());
    dWeight = normal(DType.F32, tokens, choice.options.k());
    dLogits = zeros(DType.F32, tokens, choice.experts);
    route();
  }

  /** Experts and weights of all tokens. */
  @Benchmark
  public Tensor route() {
    router.route(logits, choice.options, bias, index, weight);
    return weight;
  }

  /** The gradient of the logits. */
  @Benchmark
  public Tensor backward() {
    router.backward(logits, choice.options, index, dWeight, dLogits);
    return dLogits;
  }
}
