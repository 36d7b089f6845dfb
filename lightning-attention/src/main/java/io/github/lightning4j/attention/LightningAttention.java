package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.AttentionLibrary;
import io.github.lightning4j.attention.internal.BackwardCall;
import io.github.lightning4j.attention.internal.LightningKernels;
import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.lang.ref.Reference;
import org.jspecify.annotations.Nullable;

/**
 * Linear attention with a fixed decay a head (MiniMax-01, arXiv 2501.08313; TransNormerLLM).
 *
 * <pre>
 * S_t = lambda S_(t-1) + k_t^T v_t        S [Dk, Dv], one a head; lambda = e^-slope
 * o_t = scale * q_t S_t                   the current token counts in full
 * </pre>
 *
 * <p>There is no softmax, no position embedding, and no scale but the one asked for. With {@link
 * Options#silu} each q, k, v stands for its SiLU.
 *
 * <p><b>Shapes.</b> B rows (sequences), T tokens, H heads. Inputs and outputs are F32 with a dense
 * last dimension and otherwise free strides, so q, k, v may be views of one fused projection.
 * States are F32 {@code [B, H, Dk, Dv]}, contiguous: the true state after the last token seen (the
 * kernel of OpenNLPLab keeps lambda times that). Outputs must not share memory with inputs or one
 * another.
 *
 * <p><b>Cost.</b> Prefill and backward go in chunks of tokens: about {@code 4 Dk Dv} and {@code 14
 * Dk Dv} operations a token and head, whatever T; decode is one read and write of the states.
 *
 * <p><b>Numerics.</b> fp32 on the CPU, double in the reference; the state is F32 between calls. All
 * factors are powers {@code lambda^r, r >= 0}: nothing overflows however fast a head forgets. Heads
 * are computed apart, so results are the same bits for any number of threads. NaN and infinity
 * reach the token they come with and later ones of the same head and row, nothing else; they stay
 * in the state.
 */
public final class LightningAttention {
  /** Multiply-adds below which one thread is faster than two. */
  private static final long GRAIN = 1 << 16;

  private final LightningKernels kernels;

  private LightningAttention(LightningKernels kernels) {
    this.kernels = kernels;
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return AttentionLibrary.library().availability();
  }

  /** The fastest implementation of this machine. */
  public static LightningAttention best() {
    return of(AttentionLibrary.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static LightningAttention of(Backend backend) {
    return new LightningAttention(LightningKernels.of(backend));
  }

  /**
   * Runs over T tokens of each row. A sequence may be given in pieces of any length, the state
   * carried from one call to the next; so continuing and starting are the same call. {@code T = 0}
   * changes nothing.
   *
   * @param q queries {@code [B, T, H, Dk]}
   * @param k keys {@code [B, T, H, Dk]}
   * @param v values {@code [B, T, H, Dv]}
   * @param decay one rate for each of the H heads
   * @param options scale and SiLU
   * @param state {@code [B, H, Dk, Dv]}; read as the state before the first token (zeros for a
   *     fresh sequence), overwritten with the state after the last
   * @param out {@code [B, T, H, Dv]}
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or an output
   *     overlaps something
   */
  public void prefill(
      Tensor q, Tensor k, Tensor v, Decay decay, Options options, Tensor state, Tensor out) {
    Arguments.prefill(q, k, v, decay, state, out);
    if (q.size(1) == 0) {
      return;
    }
    Threads.forRanges(
        q.size(0) * q.size(2),
        grain(q.size(1), q.size(3) * v.size(3)),
        (from, to) -> kernels.prefill(q, k, v, decay.tensor(), options, state, out, from, to));
    Reference.reachabilityFence(decay);
  }

  /**
   * Runs over one token of each row, on states picked from a pool.
   *
   * @param q queries {@code [B, H, Dk]}
   * @param k keys {@code [B, H, Dk]}
   * @param v values {@code [B, H, Dv]}
   * @param decay one rate for each of the H heads
   * @param options scale and SiLU
   * @param statePool {@code [S, H, Dk, Dv]}; the states named by {@code slots} are updated in place
   * @param slots {@code [B]} I32: the state of each row; -1 skips a row, whose output is zero. No
   *     slot may be named twice
   * @param out {@code [B, H, Dv]}
   * @throws IllegalArgumentException if types, shapes, strides, slots or devices do not fit, or an
   *     output overlaps something
   */
  public void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor statePool,
      Tensor slots,
      Tensor out) {
    Arguments.decode(q, k, v, decay, statePool, slots, out);
    Threads.forRanges(
        q.size(0) * q.size(1),
        grain(1, q.size(2) * v.size(2)),
        (from, to) ->
            kernels.decode(q, k, v, decay.tensor(), options, statePool, slots, out, from, to));
    Reference.reachabilityFence(decay);
  }

  /**
   * Gradients of a {@link #prefill} with respect to all it read. Nothing of the forward call is
   * needed but its inputs. Scratch memory is a few {@code Dk Dv} floats a thread; with {@code
   * outDLogDecay} also {@code Dk Dv} floats for every 32 tokens of the heads under way.
   *
   * @param q as in the forward call
   * @param k as in the forward call
   * @param v as in the forward call
   * @param decay as in the forward call
   * @param options as in the forward call; gradients are those of the values before SiLU and scale
   * @param initialState {@code [B, H, Dk, Dv]}, the state before the forward call
   * @param dOut gradient of the output {@code [B, T, H, Dv]}
   * @param dFinalState gradient of the final state {@code [B, H, Dk, Dv]}, or null for zero
   * @param outDq gradient of q {@code [B, T, H, Dk]}
   * @param outDk gradient of k {@code [B, T, H, Dk]}
   * @param outDv gradient of v {@code [B, T, H, Dv]}
   * @param outDInitialState gradient of the initial state {@code [B, H, Dk, Dv]}
   * @param outDLogDecay gradient of {@code log(lambda)}, {@code [H]} F32, summed over rows; the
   *     slope's is its negative; null if not wanted
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or an output
   *     overlaps something
   */
  public void backward(
      Tensor q,
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor initialState,
      Tensor dOut,
      @Nullable Tensor dFinalState,
      Tensor outDq,
      Tensor outDk,
      Tensor outDv,
      Tensor outDInitialState,
      @Nullable Tensor outDLogDecay) {
    BackwardCall call =
        new BackwardCall(
            q,
            k,
            v,
            decay.tensor(),
            options,
            initialState,
            dOut,
            dFinalState,
            outDq,
            outDk,
            outDv,
            outDInitialState,
            null);
    Arguments.backward(call, decay, outDLogDecay);
    if (outDLogDecay == null) {
      run(call);
    } else {
      try (Tensor parts = Tensor.allocate(DType.F64, q.size(0), q.size(2))) {
        run(call.withDLogDecay(parts));
        addRows(parts, outDLogDecay);
      }
    }
    Reference.reachabilityFence(decay);
  }

  private void run(BackwardCall call) {
    Tensor q = call.q();
    Threads.forRanges(
        q.size(0) * q.size(2),
        grain(q.size(1), q.size(3) * call.v().size(3)),
        (from, to) -> kernels.backward(call, from, to));
  }

  private static void addRows(Tensor parts, Tensor out) {
    Elements from = parts.accessor();
    Elements to = out.accessor();
    for (long h = 0; h < parts.size(1); h++) {
      double sum = 0;
      for (long b = 0; b < parts.size(0); b++) {
        sum += from.get(b * parts.size(1) + h);
      }
      to.set(h, sum);
    }
  }

  private static long grain(long tokens, long stateSize) {
    return Math.max(1, GRAIN / Math.max(1, 2 * tokens * stateSize));
  }
}
