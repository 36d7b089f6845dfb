package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.jmh.peer.SoftmaxAttention;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A forward call of causal softmax attention on oneDNN and its gradients, the peer of {@link
 * LightningTrainingBenchmark}: the same sizes up to 16k tokens.
 */
public class SoftmaxTrainingBenchmark extends OperatorBenchmark {
  @Param({
    "8x32x256",
    "8x32x1024",
    "8x32x4096",
    "8x32x16384",
    "16x64x256",
    "16x64x1024",
    "16x64x4096",
    "16x64x16384",
    "64x128x256",
    "64x128x1024",
    "64x128x4096",
    "64x128x16384"
  })
  String size;

  @Param("f32")
  String dtype;

  private SoftmaxAttention attention;
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
    long[] shape = {of.heads(), of.tokens(), of.headSize()};
    attention = new SoftmaxAttention(of.heads(), of.tokens(), of.headSize());
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
    attention.forward(q, k, v, out);
    attention.backward(q, k, v, dOut, dq, dk, dv);
    return dq;
  }

  /** Frees the peer's scores. */
  @TearDown
  public void closePeer() {
    attention.close();
  }
}
