package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;

/**
 * The kernels of {@code quantizer_kernels.h}, {@code quant_rows.h} and {@code quant_kernels.h}, and
 * oneDNN for products of many rows.
 */
final class CpuQuant implements QuantKernels {
  /** Up to this many rows of activations weights are used as they are coded. */
  private static final int STREAMED = 16;

  private final DnnlGemm dnnl = new DnnlGemm();

  @Override
  public long quantize(Tensor w, QuantStore out, Tensor report, long from, long to) {
    return CoreKernels.quantize(
        w.dtype().ordinal(),
        w.address(),
        w.stride(0),
        out.descriptor(),
        out.format().isWholeRow() ? 1 : 0,
        report.address(),
        from,
        to);
  }

  @Override
  public void dequantize(QuantizedMatrix w, Tensor out, long first) {
    CoreKernels.dequantize(
        w.descriptor(), out.address(), out.stride(0), first, first + out.size(0));
  }

  @Override
  public void multiply(Tensor a, QuantizedMatrix w, Tensor out, long from, long to) {
    if (a.size(0) > STREAMED && DnnlGemm.availability().isAvailable()) {
      dnnl.multiply(a, w, out, from, to);
      return;
    }
    int done =
        CoreKernels.quantGemm(
            w.descriptor(),
            a.address(),
            a.stride(0),
            out.address(),
            out.stride(0),
            a.size(0),
            from,
            to);
    if (done == 0) {
      throw new OutOfNativeMemoryException(w.activationBytes(a.size(0)), Memory.liveBytes());
    }
  }
}
