package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CudaTransforms;
import java.util.EnumSet;
import java.util.Set;

/**
 * {@link Hadamard} on a GPU, for blocks of 32, 64, 128 or 256 channels. The call puts a kernel on a
 * stream and returns; tensors must stay open until it has ended.
 *
 * <p>Numerics: fp32, the result rounded once; of F32 the same bits as on the CPU.
 */
public final class CudaHadamard {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;

  private CudaHadamard(CudaStream stream) {
    this.stream = stream;
  }

  /** The transform whose work goes to a stream. */
  public static CudaHadamard on(CudaStream stream) {
    return new CudaHadamard(stream);
  }

  /**
   * Transforms rows: {@code out[t, block] = Had(n) x[t, block]} for every block of n neighbours.
   *
   * @param x {@code [T, width]} F32, BF16 or F16, dense last dimension
   * @param n channels of a block; 32, 64, 128 or 256, and divides the width
   * @param out as {@code x}; may be {@code x}, must not overlap it otherwise
   * @throws IllegalArgumentException if types, shapes, sizes or devices do not fit
   */
  public void apply(Tensor x, int n, Tensor out) {
    checkArgument(
        n == 32 || n == 64 || n == 128 || n == 256,
        "n: expected 32, 64, 128 or 256 channels on a GPU, got %s",
        n);
    Checks.matrix("x", x, TYPES);
    Checks.matrix("out", out, x.dtype());
    Checks.shape("out", out, x.shape());
    for (Tensor tensor : new Tensor[] {x, out}) {
      checkArgument(
          tensor.device().equals(stream.device().device()),
          "x, out: expected tensors on %s, as the stream is, got %s",
          stream.device().device(),
          tensor);
    }
    checkArgument(
        x.size(1) % n == 0, "x: expected a width in blocks of %s channels, got %s", n, x.size(1));
    boolean same = out.deviceAddress() == x.deviceAddress() && out.stride(0) == x.stride(0);
    checkArgument(
        same || !Checks.overlap(x, out), "out: expected x itself or memory apart from it");
    if (x.elements() > 0) {
      CudaTransforms.hadamard(stream, x, n, out);
    }
  }
}
