package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.CudaLightning;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * {@link LightningAttention} on a GPU: prompts and decode steps over pools of states. Calls put one
 * kernel on a stream and return; tensors must stay open until it has ended.
 *
 * <p>Shapes, types and what is computed are as there. What lies on the GPU is not looked at, since
 * nothing waits for it: slots must be -1 or below the size of the pool and differ, offsets must
 * ascend from 0 to T; otherwise the device is lost or the result undefined.
 *
 * <p><b>Numerics.</b> fp32 throughout, but for prompts of at least 16 tokens in BF16 whose heads
 * have multiples of 16 channels (Dk at most 256) and lie at multiples of 16 bytes: these go through
 * tensor cores by chunks of 64 tokens, with scores and results of SiLU rounded to bf16, and what is
 * kept from chunk to chunk to 16 bits; sums and states are fp32. Results are the same bits always.
 *
 * <p><b>Cost.</b> A decode step reads and writes each state once. A prompt is gone through by one
 * block for each sequence, head and 64 channels of the values: a single short sequence does not
 * fill a GPU.
 */
public final class CudaLightningAttention {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;

  private CudaLightningAttention(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaLightningAttention on(CudaStream stream) {
    return new CudaLightningAttention(stream);
  }

  /**
   * Runs over all tokens of each row, or of sequences packed into one row.
   *
   * @param q queries {@code [B, T, H, Dk]}
   * @param k keys {@code [B, T, H, Dk]}
   * @param v values {@code [B, T, H, Dv]}
   * @param logDecay {@code [H]} F32, {@code log(lambda) <= 0}: {@link Decay#logDecay} of each head
   * @param options scale and SiLU
   * @param statePool {@code [S, H, Dk, Dv]} F32, contiguous; updated in place
   * @param slots {@code [sequences]} I32: the state of each; -1 skips one, whose outputs are zero.
   *     Null for state b of sequence b
   * @param offsets {@code [sequences + 1]} I32: sequence i is the tokens {@code [offsets[i],
   *     offsets[i + 1])} of the only row; null where each row is a sequence
   * @param out {@code [B, T, H, Dv]}, of the type of q or F32
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or an output
   *     overlaps something
   */
  public void prefill(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor statePool,
      @Nullable Tensor slots,
      @Nullable Tensor offsets,
      Tensor out) {
    rows("q", q, q, q.shape());
    Checks.rank("q", q, 4);
    rows("k", k, q, q.shape());
    Checks.rank("v", v, 4);
    rows("v", v, q, q.size(0), q.size(1), q.size(2), v.size(3));
    checkArgument(
        q.size(2) >= 1 && q.size(3) >= 1 && v.size(3) >= 1,
        "q: expected at least one head of at least one channel, got %s and v %s",
        q,
        v);
    long sequences = offsets == null ? q.size(0) : offsets.elements() - 1;
    if (offsets != null) {
      checkArgument(q.size(0) == 1, "q: expected one row of packed sequences, got %s", q);
      checkArgument(sequences >= 0, "offsets: expected at least one entry, got none");
      small("offsets", offsets, DType.I32, sequences + 1);
    }
    if (slots != null) {
      small("slots", slots, DType.I32, sequences);
    }
    small("logDecay", logDecay, DType.F32, q.size(2));
    states(statePool, q, v, slots == null ? sequences : -1);
    stream.check("out", out);
    Checks.dtype("out", out, EnumSet.of(q.dtype(), DType.F32));
    Checks.shape("out", out, v.shape());
    Checks.denseLast("out", out);
    apart(out, q, k, v, logDecay, statePool, slots, offsets);
    apart(statePool, q, k, v, logDecay, slots, offsets);
    if (sequences > 0 && out.elements() > 0) {
      CudaLightning.run(
          stream,
          new CudaLightning.Call(q, k, v, logDecay, options, statePool, slots, offsets, out));
    }
  }

  /**
   * Runs over one token of each row.
   *
   * @param q queries {@code [B, H, Dk]}
   * @param k keys {@code [B, H, Dk]}
   * @param v values {@code [B, H, Dv]}
   * @param logDecay as above
   * @param options as above
   * @param statePool as above
   * @param slots as above
   * @param out {@code [B, H, Dv]}, of the type of q or F32
   * @throws IllegalArgumentException as above
   */
  public void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor statePool,
      @Nullable Tensor slots,
      Tensor out) {
    prefill(
        token("q", q),
        token("k", k),
        token("v", v),
        logDecay,
        options,
        statePool,
        slots,
        null,
        token("out", out));
  }

  /** {@code [B, 1, H, D]} for {@code [B, H, D]}. */
  private static Tensor token(String name, Tensor x) {
    Checks.rank(name, x, 3);
    return x.strided(
        0,
        new long[] {x.size(0), 1, x.size(1), x.size(2)},
        new long[] {x.stride(0), 0, x.stride(1), x.stride(2)});
  }

  private void rows(String name, Tensor x, Tensor q, long... shape) {
    stream.check(name, x);
    Checks.dtype(name, x, TYPES);
    Checks.dtype(name, x, q.dtype());
    Checks.shape(name, x, shape);
    Checks.denseLast(name, x);
  }

  private void small(String name, Tensor x, DType type, long elements) {
    stream.check(name, x);
    Checks.dtype(name, x, type);
    Checks.shape(name, x, elements);
    Checks.contiguous(name, x);
  }

  private void states(Tensor pool, Tensor q, Tensor v, long entries) {
    stream.check("statePool", pool);
    Checks.dtype("statePool", pool, DType.F32);
    Checks.rank("statePool", pool, 4);
    long first = entries < 0 ? pool.size(0) : entries;
    Checks.shape("statePool", pool, first, q.size(2), q.size(3), v.size(3));
    Checks.contiguous("statePool", pool);
  }

  private static void apart(Tensor out, @Nullable Tensor... others) {
    for (Tensor other : others) {
      checkArgument(
          other == null || !Checks.overlap(out, other),
          "out, statePool: expected memory of its own, got an overlap of %s with %s",
          out,
          other);
    }
  }
}
