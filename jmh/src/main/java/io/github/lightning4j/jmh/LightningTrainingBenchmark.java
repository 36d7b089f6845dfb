package io.github.lightning4j.jmh;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Gradients;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.Prefill;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * A forward call of lightning attention and its gradients, but for that of the decay: sizes as in
 * {@link LightningPrefillBenchmark}. The peer is {@link SoftmaxTrainingBenchmark}.
 */
public class LightningTrainingBenchmark extends OperatorBenchmark {
  @Param({
    "8x32x256",
    "8x32x1024",
    "8x32x4096",
    "8x32x16384",
    "8x32x65536",
    "16x64x256",
    "16x64x1024",
    "16x64x4096",
    "16x64x16384",
    "16x64x65536",
    "64x128x256",
    "64x128x1024",
    "64x128x4096",
    "64x128x16384"
  })
  String size;

  @Param({"f32", "bf16"})
  String dtype;

  private final LightningAttention attention = LightningAttention.best();
  private Decay decay;
  private Tensor q;
  private Tensor k;
  private Tensor v;
  private Tensor out;
  private Tensor dOut;
  private Tensor dq;
  private Tensor dk;
  private Tensor dv;

  /** Fills the operands. */
  @Setup
  public void open() {
    AttentionSize of = AttentionSize.of(size);
    DType type = DType.of(dtype);
    long[] shape = {1, of.tokens(), of.heads(), of.headSize()};
    decay = Decay.ofSlopes(Slopes.alibi(of.heads()));
    q = tiled(type, shape);
    k = tiled(type, shape);
    v = tiled(type, shape);
    dOut = tiled(type, shape);
    out = zeros(type, shape);
    dq = zeros(type, shape);
    dk = zeros(type, shape);
    dv = zeros(type, shape);
  }

  /** The gradients of all tokens. */
  @Benchmark
  public Tensor forwardBackward() {
    Prefill forward = new Prefill(q, k, v, decay, Options.DEFAULT, out);
    attention.prefill(forward);
    attention.backward(forward, new Gradients(dOut).outDq(dq).outDkDv(dk, dv));
    return dq;
  }
}
