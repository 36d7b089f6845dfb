package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.MoeWorkspace;
import io.github.lightning4j.moe.Router;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A layer of {@link MoeLayers}: router product, routing and experts, over one to 4,096 tokens, on
 * all threads. Successive calls take successive layers and other tokens.
 */
public class MoeForwardBenchmark extends OperatorBenchmark {
  /** Tokens to choose a call's from, at least. */
  private static final int POOL_TOKENS = 61;

  @Param({"1", "4", "512", "4096"})
  int tokens;

  @Param({"f32", "bf16", "int8", "int4"})
  String weights;

  private final MixtureOfExperts experts = MixtureOfExperts.best();
  private final Router router = Router.best();
  private final Gemm gemm = Gemm.best();
  private final MoeWorkspace workspace = new MoeWorkspace();
  private MoeLayers layers;
  private Tensor pool;
  private Tensor gate;
  private Tensor logits;
  private Tensor index;
  private Tensor weight;
  private Tensor out;
  private long call;

  /** Fills the operands. */
  @Setup
  public void open() {
    layers = new MoeLayers(this, weights);
    pool = normal(DType.F32, tokens + POOL_TOKENS, MoeLayers.HIDDEN);
    gate = normal(DType.F32, MoeLayers.EXPERTS, MoeLayers.HIDDEN);
    logits = zeros(DType.F32, tokens, MoeLayers.EXPERTS);
    index = zeros(DType.I32, tokens, MoeLayers.CHOICES);
    weight = zeros(DType.F32, tokens, MoeLayers.CHOICES);
    out = zeros(DType.F32, tokens, MoeLayers.HIDDEN);
  }

  /** The outputs of all tokens. */
  @Benchmark
  public Tensor forward() {
    Tensor x = pool.narrow(0, call++ % POOL_TOKENS, tokens);
    gemm.multiply(x, gate, logits);
    router.route(logits, MoeLayers.CHOICES, index, weight);
    experts.forward(x, layers.next(), index, weight, workspace, out);
    return out;
  }

  /** Frees what is not in the scope. */
  @TearDown
  public void closeLayers() {
    layers.close();
    workspace.close();
  }
}
