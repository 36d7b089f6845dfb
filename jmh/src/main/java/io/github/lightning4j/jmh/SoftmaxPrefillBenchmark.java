package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.jmh.peer.SoftmaxAttention;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Causal softmax attention on oneDNN over a prompt, the peer of {@link LightningPrefillBenchmark}:
 * the same sizes up to 16k tokens, after which a call takes minutes.
 */
public class SoftmaxPrefillBenchmark extends OperatorBenchmark {
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
    out = zeros(type, shape);
  }

  /** The outputs of all tokens. */
  @Benchmark
  public Tensor forward() {
    attention.forward(q, k, v, out);
    return out;
  }

  /** Frees the peer's scores. */
  @TearDown
  public void closePeer() {
    attention.close();
  }
}
