package io.github.lightning4j.jmh;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * Lightning attention over a prompt: one sequence of T tokens, H heads of D channels, on all
 * threads. 64 x 128 are the heads of the released models. The peer is {@link
 * SoftmaxPrefillBenchmark}.
 */
public class LightningPrefillBenchmark extends OperatorBenchmark {
  @Param({
    "8x32x256",
    "8x32x1024",
    "8x32x4096",
    "8x32x16384",
    "8x32x65536",
    "8x32x262144",
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
  private Tensor state;
  private Tensor out;

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
    out = zeros(type, shape);
    state = zeros(DType.F32, 1, of.heads(), of.headSize(), of.headSize());
  }

  /** The outputs of all tokens. */
  @Benchmark
  public Tensor forward() {
    attention.prefill(q, k, v, decay, Options.DEFAULT, state, out);
    return out;
  }
}
