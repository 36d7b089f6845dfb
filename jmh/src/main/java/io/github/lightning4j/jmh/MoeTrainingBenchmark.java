package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.MoeWorkspace;
import io.github.lightning4j.moe.Router;
import java.util.ArrayList;
import java.util.List;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A training step of a layer of {@link MoeLayers}: forward as in {@link MoeForwardBenchmark}, then
 * the gradients of the tokens, of the routing weights and logits, and of all experts.
 */
public class MoeTrainingBenchmark extends OperatorBenchmark {
  @Param({"512", "4096"})
  int tokens;

  @Param({"f32", "bf16"})
  String weights;

  private final MixtureOfExperts experts = MixtureOfExperts.best();
  private final Router router = Router.best();
  private final Gemm gemm = Gemm.best();
  private final MoeWorkspace workspace = new MoeWorkspace();
  private final List<Tensor> dGate = new ArrayList<>();
  private final List<Tensor> dUp = new ArrayList<>();
  private final List<Tensor> dDown = new ArrayList<>();
  private MoeLayers layers;
  private Tensor x;
  private Tensor gate;
  private Tensor logits;
  private Tensor dLogits;
  private Tensor index;
  private Tensor weight;
  private Tensor dWeight;
  private Tensor out;
  private Tensor dOut;
  private Tensor dx;

  /** Fills the operands. */
  @Setup
  public void open() {
    layers = new MoeLayers(this, weights);
    x = normal(DType.F32, tokens, MoeLayers.HIDDEN);
    gate = normal(DType.F32, MoeLayers.EXPERTS, MoeLayers.HIDDEN);
    logits = zeros(DType.F32, tokens, MoeLayers.EXPERTS);
    dLogits = zeros(DType.F32, tokens, MoeLayers.EXPERTS);
    index = zeros(DType.I32, tokens, MoeLayers.CHOICES);
    weight = zeros(DType.F32, tokens, MoeLayers.CHOICES);
    dWeight = zeros(DType.F32, tokens, MoeLayers.CHOICES);
    out = zeros(DType.F32, tokens, MoeLayers.HIDDEN);
    dOut = normal(DType.F32, tokens, MoeLayers.HIDDEN);
    dx = zeros(DType.F32, tokens, MoeLayers.HIDDEN);
    for (int e = 0; e < MoeLayers.EXPERTS; e++) {
      dGate.add(zeros(DType.F32, MoeLayers.INTERMEDIATE, MoeLayers.HIDDEN));
      dUp.add(zeros(DType.F32, MoeLayers.INTERMEDIATE, MoeLayers.HIDDEN));
      dDown.add(zeros(DType.F32, MoeLayers.HIDDEN, MoeLayers.INTERMEDIATE));
    }
  }

  /** The gradients of all tokens. */
  @Benchmark
  public Tensor forwardBackward() {
    Experts layer = layers.next();
    gemm.multiply(x, gate, logits);
    router.route(logits, MoeLayers.CHOICES, index, weight);
    experts.forward(x, layer, index, weight, workspace, out);
    experts.backward(x, layer, workspace.plan(), weight, dOut, dx, dWeight, dGate, dUp, dDown);
    router.backward(logits, index, dWeight, dLogits);
    return dx;
  }

  /** Frees what is not in the scope. */
  @TearDown
  public void closeLayers() {
    layers.close();
    workspace.close();
  }
}
