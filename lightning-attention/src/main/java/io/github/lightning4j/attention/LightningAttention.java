package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.attention.internal.BackwardCall;
import io.github.lightning4j.attention.internal.DecodeCall;
import io.github.lightning4j.attention.internal.GatedNormKernel;
import io.github.lightning4j.attention.internal.LightningKernels;
import io.github.lightning4j.attention.internal.NormedOutputs;
import io.github.lightning4j.attention.internal.PrefillCall;
import io.github.lightning4j.attention.internal.Sequence;
import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
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
 * <p><b>Shapes and types.</b> B rows, T tokens, H heads. q, k, v are all F32, all BF16 or all F16;
 * outputs are of that type or F32. They have a dense last dimension and otherwise free strides, so
 * q, k, v may be views of one fused projection. States are F32 {@code [B, H, Dk, Dv]}, contiguous:
 * the true state after the last token seen (the kernel of OpenNLPLab keeps lambda times that).
 * Outputs must not share memory with inputs or one another. The reference implementation also takes
 * F64 throughout.
 *
 * <p><b>Cost.</b> Prefill and backward go in chunks of tokens: about {@code 4 Dk Dv} and {@code 10
 * Dk Dv} operations a token and head, whatever T; decode is one read and write of the states.
 *
 * <p><b>Threads.</b> Instances hold nothing and may be shared. A call splits its work over {@link
 * io.github.lightning4j.core.Threads}; calls made at the same time share its workers as said there.
 *
 * <p><b>Numerics.</b> Products, sums and states are fp32 on the CPU, double in the reference;
 * 16-bit inputs are widened exactly, outputs rounded to nearest even. Where the CPU has AMX,
 * prefill of BF16 rounds to bf16 what ends within a chunk of tokens, the scores {@code q_i . k_j}
 * with their decay and the results of SiLU; states stay fp32. All factors are powers {@code
 * lambda^r, r >= 0}: nothing overflows however fast a head forgets. Results are the same bits for
 * any number of threads, also where a long sequence is split over them. NaN and infinity reach the
 * token they come with and later ones of the same head and sequence, nothing else (with a norm, all
 * heads of these tokens); they stay in the state, where an infinity may become NaN.
 */
public final class LightningAttention {
  private final LightningKernels kernels;
  private final GatedNormKernel norms;

  private LightningAttention(Backend backend) {
    this.kernels = LightningKernels.of(backend);
    this.norms = GatedNormKernel.of(backend);
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return AttentionKernels.library().availability();
  }

  /** The fastest implementation of this machine. */
  public static LightningAttention best() {
    return of(AttentionKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static LightningAttention of(Backend backend) {
    return new LightningAttention(backend);
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
    prefill(new Prefill(q, k, v, decay, options, out).state(state));
  }

  /**
   * Runs a forward pass with all it may ask for: sequences of different lengths, states by slots,
   * snapshots of states, a norm and gate on the way out.
   *
   * @throws IllegalArgumentException if types, shapes, strides, offsets, slots or devices do not
   *     fit, or an output overlaps something
   */
  public void prefill(Prefill pass) {
    CheckedPrefill checked = new CheckedPrefill(pass, kernels.takesDoubles());
    PrefillCall call = checked.forward();
    OutputNorm norm = pass.norm;
    if (norm == null) {
      kernels.prefill(call);
    } else {
      new NormedOutputs(kernels, norms, norm.weight(), norm.eps(), norm.gate()).prefill(call);
    }
    for (Sequence skipped : checked.skipped) {
      Tensor row = pass.out.select(0, skipped.row());
      Skipped.clear(row.narrow(0, skipped.first(), skipped.tokens()));
    }
    Reference.reachabilityFence(pass.decay);
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
    decode(q, k, v, decay, options, statePool, slots, null, out);
  }

  /**
   * The same with a norm and gate on the way out.
   *
   * @param q as above
   * @param k as above
   * @param v as above
   * @param decay as above
   * @param options as above
   * @param statePool as above
   * @param slots as above
   * @param norm what to do to the outputs of all heads of a row; a skipped row stays zero; null for
   *     nothing
   * @param out as above, with a norm also dense over heads
   * @throws IllegalArgumentException as above
   */
  public void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor statePool,
      Tensor slots,
      @Nullable OutputNorm norm,
      Tensor out) {
    Arguments.inputs(q, k, v, 3, decay, kernels.takesDoubles());
    Arguments.outputRows("out", out, q, v.shape());
    Arguments.states("statePool", statePool, k, v, -1);
    Recording.once(() -> Arguments.slots(slots, q.size(0), statePool.size(0), q));
    Apartness apart = new Apartness().input("q", q).input("k", k).input("v", v);
    apart.input("slots", slots).output("out", out).output("statePool", statePool);
    if (norm != null) {
      CheckedPrefill.norm(norm, q, v.size(1) * v.size(2));
      Checks.contiguous("out", out);
      if (norm.gate() != null) {
        Arguments.outputRows("gate", norm.gate(), q, v.size(0), v.size(1) * v.size(2));
      }
      apart.input("weight", norm.weight()).input("gate", norm.gate());
    }
    apart.check();
    DecodeCall call = new DecodeCall(q, k, v, out, decay.tensor(), options, statePool, slots);
    if (norm == null) {
      kernels.decode(call);
    } else {
      new NormedOutputs(kernels, norms, norm.weight(), norm.eps(), norm.gate()).decode(call);
      Recording.once(() -> Skipped.clear(out, slots));
    }
    Reference.reachabilityFence(decay);
  }

  /**
   * Outputs of drafted tokens, without a change to any state: the first half of speculative
   * decoding. {@link #advance} is the second, with the number of tokens accepted.
   *
   * @param q queries {@code [B, M, H, Dk]}
   * @param k keys {@code [B, M, H, Dk]}
   * @param v values {@code [B, M, H, Dv]}
   * @param decay one rate for each of the H heads
   * @param options scale and SiLU
   * @param statePool {@code [S, H, Dk, Dv]}, only read
   * @param slots {@code [B]} I32 as in {@link #decode}
   * @param out {@code [B, M, H, Dv]}
   * @throws IllegalArgumentException as for decode
   */
  public void verify(
      Tensor q,
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor statePool,
      Tensor slots,
      Tensor out) {
    prefill(new Prefill(q, k, v, decay, options, out).statePool(statePool).slots(slots));
  }

  /**
   * Moves states on by some tokens without outputs: {@code S = lambda^n S + sum_j lambda^(n-1-j)
   * k_j^T v_j}. Commits the accepted drafts of {@link #verify}, bit for bit the state that a
   * prefill over them leaves; from zeros, gives the state a segment makes on its own, see {@link
   * Segments}.
   *
   * @param k keys {@code [B, M, H, Dk]}
   * @param v values {@code [B, M, H, Dv]}
   * @param decay one rate for each of the H heads
   * @param options SiLU; the scale has no part in states
   * @param statePool {@code [S, H, Dk, Dv]}, updated in place
   * @param slots {@code [B]} I32 as in {@link #decode}; null for entry b of row b
   * @param tokens {@code [B]} I32, how many of the M tokens of each row count, 0 to M; null for all
   * @throws IllegalArgumentException if types, shapes, strides, slots, numbers or devices do not
   *     fit, or the pool overlaps something
   */
  public void advance(
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor statePool,
      @Nullable Tensor slots,
      @Nullable Tensor tokens) {
    kernels.prefill(
        CheckedAdvance.of(k, v, decay, options, statePool, slots, tokens, kernels.takesDoubles()));
    Reference.reachabilityFence(decay);
  }

  /**
   * Gradients of a forward pass. Nothing of it is needed but its inputs. Scratch memory is a few
   * {@code Dk Dv} floats a thread; with {@link Gradients#outDLogDecay} also {@code Dk Dv} floats
   * for every 32 tokens of 2,048 and for every 2,048 of a sequence, of the heads under way.
   *
   * @param forward the pass; its {@code out}, final states and snapshots are not looked at. A norm
   *     has a backward pass of its own, {@link GatedRmsNorm}, and is refused here
   * @param gradients what comes in and what is wanted. The outputs of sequences that slot -1 skips
   *     are left as they are
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or an output
   *     overlaps something
   */
  public void backward(Prefill forward, Gradients gradients) {
    BackwardCall call = CheckedBackward.of(forward, gradients, kernels.takesDoubles());
    Tensor out = gradients.outDLogDecay;
    if (out == null) {
      kernels.backward(call);
    } else {
      try (Tensor parts = Tensor.allocate(DType.F64, call.sequences().size(), call.q().size(2))) {
        kernels.backward(call.withDLogDecay(parts));
        addRows(parts, out);
      }
    }
    Reference.reachabilityFence(forward.decay);
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

  static LightningKernels preferredKernels() {
    return LightningKernels.of(AttentionKernels.library().preferred());
  }
}
