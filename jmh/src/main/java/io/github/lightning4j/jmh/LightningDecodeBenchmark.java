package io.github.lightning4j.jmh;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.jmh.peer.JavaDecode;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * One token of each of {@code batch} sequences, H heads of D channels, on all threads; beside the
 * same loop in plain Java.
 *
 * <p>Successive calls take successive slots of a pool. In {@code MEMORY} it is {@value #POOL_BYTES}
 * bytes, more than any cache, as the layers of a large model are; in {@code CACHE} it is the states
 * of one call.
 */
public class LightningDecodeBenchmark extends OperatorBenchmark {
  static final long POOL_BYTES = 1L << 30;

  /** Where the states lie. */
  public enum Pool {
    CACHE,
    MEMORY
  }

  /** What computes the token. */
  public enum Kernel {
    LIGHTNING,
    JAVA
  }

  @FunctionalInterface
  private interface Step {
    Object decode(int call);
  }

  @Param Kernel kernel;

  @Param({"8x32", "16x64", "64x128"})
  String size;

  @Param({"1", "16"})
  int batch;

  @Param Pool pool;

  @Param({"f32", "bf16"})
  String dtype;

  private Step step;
  private int call;

  /** Fills the operands. */
  @Setup
  public void open() {
    AttentionSize of = AttentionSize.of(size);
    long state = (long) of.heads() * of.headSize() * of.headSize() * 4;
    long slots = pool == Pool.CACHE ? batch : POOL_BYTES / state;
    int[][] rows =
        IntStream.range(0, (int) slots / batch)
            .mapToObj(i -> IntStream.range(i * batch, (i + 1) * batch).toArray())
            .toArray(int[][]::new);
    step = kernel == Kernel.LIGHTNING ? lightning(of, slots, rows) : java(of, slots, rows);
  }

  private Step lightning(AttentionSize of, long slots, int[][] rows) {
    DType type = DType.of(dtype);
    LightningAttention attention = LightningAttention.best();
    Decay decay = Decay.ofSlopes(Slopes.alibi(of.heads()));
    long[] token = {batch, of.heads(), of.headSize()};
    Tensor q = normal(type, token);
    Tensor k = normal(type, token);
    Tensor v = normal(type, token);
    Tensor out = zeros(type, token);
    Tensor states = tiled(DType.F32, slots, of.heads(), of.headSize(), of.headSize());
    Tensor[] named = new Tensor[rows.length];
    for (int i = 0; i < rows.length; i++) {
      named[i] = zeros(DType.I32, batch);
      for (int b = 0; b < batch; b++) {
        named[i].accessor().setLong(b, rows[i][b]);
      }
    }
    return i -> {
      attention.decode(q, k, v, decay, Options.DEFAULT, states, named[i % named.length], out);
      return out;
    };
  }

  private Step java(AttentionSize of, long slots, int[][] rows) {
    double[] slopes = Slopes.alibi(of.heads());
    float[] lambda = new float[of.heads()];
    for (int h = 0; h < lambda.length; h++) {
      lambda[h] = (float) Math.exp(-slopes[h]);
    }
    JavaDecode loop = new JavaDecode(of.headSize(), lambda);
    long[] token = {batch, of.heads(), of.headSize()};
    float[] q = normal(DType.F32, token).toFloats();
    float[] k = normal(DType.F32, token).toFloats();
    float[] v = normal(DType.F32, token).toFloats();
    float[] out = new float[q.length];
    float[] states = new float[(int) slots * of.heads() * of.headSize() * of.headSize()];
    return i -> {
      loop.decode(q, k, v, states, rows[i % rows.length], out);
      return out;
    };
  }

  /** One token of each row. */
  @Benchmark
  public Object decode() {
    call = (call + 1) & Integer.MAX_VALUE;
    return step.decode(call);
  }
}
