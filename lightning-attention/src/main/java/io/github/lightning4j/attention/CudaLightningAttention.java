package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.CudaLightning;
import io.github.lightning4j.attention.internal.CudaLightningBackward;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
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
    CudaArguments arguments = new CudaArguments(stream);
    long sequences = arguments.inputs(q, k, v, logDecay, offsets);
    if (slots != null) {
      arguments.small("slots", slots, DType.I32, sequences);
    }
    arguments.states("statePool", statePool, q, v, slots == null ? sequences : -1);
    arguments.outputRows("out", out, q, v.shape());
    String outputs = "out, statePool";
    CudaArguments.apart(outputs, out, q, k, v, logDecay, statePool, slots, offsets);
    CudaArguments.apart(outputs, statePool, q, k, v, logDecay, slots, offsets);
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

  /**
   * Gradients of a forward pass; nothing of it is needed but its inputs. Puts one kernel on the
   * stream, two and a sum with {@link Gradients#outDLogDecay}, and for what does not go by chunks
   * one for each gradient.
   *
   * <p><b>Numerics.</b> By chunks, on tensor cores, go passes with q, k, v and dOut in BF16, heads
   * of multiples of 16 channels, at most 256, and all rows, gradients too, at multiples of 16
   * bytes: scores, results of SiLU and states where they enter a product are rounded to bf16; sums,
   * and what is carried from chunk to chunk, are fp32. All others go token by token in fp32, which
   * is slow for long sequences. Results are the same bits always.
   *
   * @param q queries {@code [B, T, H, Dk]}
   * @param k keys {@code [B, T, H, Dk]}
   * @param v values {@code [B, T, H, Dv]}
   * @param logDecay as above
   * @param options as above
   * @param initialState {@code [sequences, H, Dk, Dv]} F32, contiguous, the states before the first
   *     tokens; null for zeros
   * @param offsets as above
   * @param gradients what comes in and what is wanted, shaped as there; those of states as {@code
   *     initialState} would be
   * @param scratch {@code [n]} F32 with n at least {@link #backwardScratchElements}, for {@link
   *     Gradients#outDLogDecay}; null without it
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, an output
   *     overlaps something, or nothing is wanted
   */
  public void backward(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      @Nullable Tensor initialState,
      @Nullable Tensor offsets,
      Gradients gradients,
      @Nullable Tensor scratch) {
    CudaLightningBackward.run(
        stream,
        new CheckedCudaBackward(stream, q, k, v, offsets, gradients)
            .call(logDecay, options, initialState, scratch));
  }

  /**
   * The floats of scratch memory that {@link #backward} needs for the gradient of the decay: about
   * {@code H Dk Dv} for every 64 tokens.
   *
   * @param k as there
   * @param v as there
   * @param offsets as there
   */
  public static long backwardScratchElements(Tensor k, Tensor v, @Nullable Tensor offsets) {
    long sequences = offsets == null ? k.size(0) : offsets.elements() - 1;
    return CudaLightningBackward.scratchElements(k, v, sequences, offsets != null);
  }

  /** {@code [B, 1, H, D]} for {@code [B, H, D]}. */
  private static Tensor token(String name, Tensor x) {
    Checks.rank(name, x, 3);
    return x.strided(
        0,
        new long[] {x.size(0), 1, x.size(1), x.size(2)},
        new long[] {x.stride(0), 0, x.stride(1), x.stride(2)});
  }
}
