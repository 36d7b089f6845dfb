package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.attention.internal.GatedNormKernel;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The norm that follows lightning attention, with its gate, in one pass over memory.
 *
 * <pre>out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps)        rows [T, N]
 * </pre>
 *
 * <p>In the models a row is all heads of a token side by side, {@code N = H Dv}: one norm over all
 * of them, not one a head. Statistics are accumulated in fp32 on the CPU and in double in the
 * reference. Rows are split over the threads, so results do not depend on their number. A NaN or
 * infinity in a row of {@code x} spoils that row only.
 */
public final class GatedRmsNorm {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final GatedNormKernel kernel;

  private GatedRmsNorm(GatedNormKernel kernel) {
    this.kernel = kernel;
  }

  /** The fastest implementation of this machine. */
  public static GatedRmsNorm best() {
    return of(AttentionKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static GatedRmsNorm of(Backend backend) {
    return new GatedRmsNorm(GatedNormKernel.of(backend));
  }

  /**
   * Normalises rows.
   *
   * @param x {@code [T, N]} F32
   * @param gate {@code [T, N]} F32, before the sigmoid; null for no gate
   * @param weight {@code [N]} F32, BF16 or F16
   * @param eps added to the mean square, {@code >= 0}; the released models' code has 1e-6 here,
   *     vLLM 1e-5
   * @param out {@code [T, N]} F32; may be {@code x} or {@code gate}
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or {@code out}
   *     overlaps something it is not
   */
  public void apply(Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out) {
    Checks.matrix("x", x, DType.F32);
    Checks.dtype("weight", weight, WEIGHTS);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    Checks.sameDevice("weight", weight, "x", x);
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, x.shape());
    Checks.sameDevice("out", out, "x", x);
    checkArgument(!Checks.overlap(out, weight), "out: must not overlap weight");
    sameOrApart(out, "x", x);
    if (gate != null) {
      Checks.matrix("gate", gate, DType.F32);
      Checks.shape("gate", gate, x.shape());
      Checks.sameDevice("gate", gate, "x", x);
      sameOrApart(out, "gate", gate);
    }
    long grain = Math.max(1, GRAIN / Math.max(1, x.size(1)));
    Threads.forRanges(
        x.size(0), grain, (from, to) -> kernel.apply(x, gate, weight, eps, out, from, to));
  }

  private static void sameOrApart(Tensor out, String name, Tensor other) {
    boolean same =
        out.address() == other.address() && (out.size(0) <= 1 || out.stride(0) == other.stride(0));
    checkArgument(
        same || !Overlap.possible(out, other), "out: must be %s itself or not overlap it", name);
  }
}
