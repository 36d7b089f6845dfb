package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.CombineCall;
import io.github.lightning4j.attention.internal.LightningKernels;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.lang.ref.Reference;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One long sequence split into R segments that are computed apart, on threads, ranks or GPUs: the
 * exchange of LASP+ (MiniMax-01, arXiv 2501.08313, section 2.2).
 *
 * <ol>
 *   <li>each segment computes the state it makes on its own, {@link LightningAttention#advance}
 *       from zeros;
 *   <li>all gather these, {@code [R, B, H, Dk, Dv]}: 4 Dk Dv bytes a head and segment, whatever the
 *       length;
 *   <li>{@link #enteringStates} gives the state that enters each;
 *   <li>each runs {@link LightningAttention#prefill(Prefill)} from it.
 * </ol>
 *
 * <p>Backward is the mirror image: the adjoint that a segment makes on its own is {@link
 * LightningAttention#backward(Prefill, Gradients)} with nothing but {@link
 * Gradients#outDInitialState} asked for; {@link #leavingAdjoints} gives the {@link
 * Gradients#dFinalState} of each. The gradient of the decay is the sum over the segments.
 *
 * <pre>
 * P_0 = initial          P_(r+1) = lambda^n_r P_r + L_r         n_r tokens in segment r
 * R_(last) = dFinal      R_(r-1) = lambda^n_r R_r + A_r
 * </pre>
 *
 * <p>fp32 on the CPU, double in the reference. The results differ from those of an unsplit sequence
 * by rounding only.
 */
public final class Segments {
  private final LightningKernels kernels;

  private Segments(LightningKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static Segments best() {
    return new Segments(LightningAttention.preferredKernels());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static Segments of(Backend backend) {
    return new Segments(LightningKernels.of(backend));
  }

  /**
   * The state that enters each segment.
   *
   * @param localStates {@code [R, B, H, Dk, Dv]}: what each segment makes from zeros
   * @param tokens the tokens of each segment
   * @param decay one rate for each of the H heads
   * @param initialState {@code [B, H, Dk, Dv]}, what enters the first; null for zeros
   * @param outEntering {@code [R, B, H, Dk, Dv]}
   * @param outFinalState {@code [B, H, Dk, Dv]}, what leaves the last; null if not wanted
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, a length is
   *     negative, or an output overlaps something
   */
  public void enteringStates(
      Tensor localStates,
      long[] tokens,
      Decay decay,
      @Nullable Tensor initialState,
      Tensor outEntering,
      @Nullable Tensor outFinalState) {
    combine(localStates, tokens, decay, initialState, outEntering, outFinalState, false);
  }

  /**
   * The gradient of the state that leaves each segment.
   *
   * @param localAdjoints {@code [R, B, H, Dk, Dv]}: what each segment makes from zeros
   * @param tokens the tokens of each segment
   * @param decay one rate for each of the H heads
   * @param dFinalState {@code [B, H, Dk, Dv]}, the gradient of what leaves the last; null for zeros
   * @param outLeaving {@code [R, B, H, Dk, Dv]}
   * @param outDInitialState {@code [B, H, Dk, Dv]}, the gradient of what enters the first; null if
   *     not wanted
   * @throws IllegalArgumentException as above
   */
  public void leavingAdjoints(
      Tensor localAdjoints,
      long[] tokens,
      Decay decay,
      @Nullable Tensor dFinalState,
      Tensor outLeaving,
      @Nullable Tensor outDInitialState) {
    combine(localAdjoints, tokens, decay, dFinalState, outLeaving, outDInitialState, true);
  }

  private void combine(
      Tensor local,
      long[] tokens,
      Decay decay,
      @Nullable Tensor initial,
      Tensor entering,
      @Nullable Tensor last,
      boolean reverse) {
    String name = reverse ? "localAdjoints" : "localStates";
    DType type = kernels.takesDoubles() && local.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Checks.dtype(name, local, type);
    Checks.rank(name, local, 5);
    Checks.contiguous(name, local);
    checkArgument(
        tokens.length == local.size(0),
        "tokens: expected a length for each of %s segments, got %s",
        local.size(0),
        tokens.length);
    for (int i = 0; i < tokens.length; i++) {
      checkArgument(tokens[i] >= 0, "tokens[%s]: expected at least 0, got %s", i, tokens[i]);
    }
    checkArgument(
        decay.heads() == local.size(2),
        "decay: expected %s heads as %s has, got %s",
        local.size(2),
        name,
        decay.heads());
    long[] shape = Arrays.copyOfRange(local.shape(), 1, 5);
    Apartness apart = new Apartness().input(name, local);
    if (initial != null) {
      String initialName = reverse ? "dFinalState" : "initialState";
      check(initialName, initial, type, local, shape);
      apart.input(initialName, initial);
    }
    String enteringName = reverse ? "outLeaving" : "outEntering";
    check(enteringName, entering, type, local, local.shape());
    apart.output(enteringName, entering);
    if (last != null) {
      String lastName = reverse ? "outDInitialState" : "outFinalState";
      check(lastName, last, type, local, shape);
      apart.output(lastName, last);
    }
    apart.check();
    kernels.combine(
        new CombineCall(local, tokens.clone(), decay.tensor(), initial, entering, last, reverse));
    Reference.reachabilityFence(decay);
  }

  private static void check(String name, Tensor x, DType type, Tensor local, long[] shape) {
    Checks.dtype(name, x, type);
    Checks.shape(name, x, shape);
    Checks.contiguous(name, x);
    Checks.sameDevice(name, x, "the local states", local);
  }
}
