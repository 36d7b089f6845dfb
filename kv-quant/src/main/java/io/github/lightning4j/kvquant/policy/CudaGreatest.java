package io.github.lightning4j.kvquant.policy;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CudaRowsOfPrompts;
import java.util.EnumSet;
import java.util.Set;

/**
 * What {@link MassiveActivations} needs of rows that lie on a GPU: the k greatest magnitudes of
 * each. A token that holds one of the k greatest of all rows holds it among its own k, so feeding
 * these instead of the rows finds the same tokens.
 *
 * <p>The call puts a kernel on a stream and returns; tensors must stay open until it has ended.
 */
public final class CudaGreatest {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private CudaGreatest() {}

  /**
   * {@code out[t] = } the k greatest of {@code |x[t]|}, descending; infinity and NaN, as the
   * greatest, stay what they are.
   *
   * @param x {@code [T, D]} F32, BF16 or F16, dense last dimension
   * @param out {@code [T, k]} F32, contiguous, {@code 1 <= k <= D}; apart from {@code x}
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public static void magnitudes(CudaStream stream, Tensor x, Tensor out) {
    stream.check("x", x);
    stream.check("out", out);
    Checks.matrix("x", x, TYPES);
    Checks.matrix("out", out, DType.F32);
    Checks.shape("out", out, x.size(0), out.size(1));
    Checks.contiguous("out", out);
    checkArgument(
        out.size(1) >= 1 && out.size(1) <= x.size(1),
        "out: expected 1 to %s magnitudes of each row, got %s",
        x.size(1),
        out.size(1));
    checkArgument(!Checks.overlap(x, out), "out: expected memory apart from x");
    if (x.size(0) > 0) {
      CudaRowsOfPrompts.greatest(stream, x, out);
    }
  }
}
