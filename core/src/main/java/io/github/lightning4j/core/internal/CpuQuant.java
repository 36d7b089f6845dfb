package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.List;

/** The kernels of {@code quantizer_kernels.h}, {@code quant_rows.h} and {@code quant_kernels.h}. */
final class CpuQuant implements QuantKernels {
  /** Up to this many rows of activations weights are streamed. */
  private static final int STREAMED = 16;

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
  public long blockRows() {
    return CoreKernels.quantBlockRows();
  }

  @Override
  public Product product(Tensor a, List<QuantizedMatrix> weights) {
    return a.size(0) > STREAMED ? new PackedRows(a, weights) : new StreamedRows(a, weights);
  }

  /** Few rows: every range rounds them for itself, which is less work than waiting. */
  private record StreamedRows(Tensor a, List<QuantizedMatrix> weights) implements Product {
    @Override
    public void multiply(int i, Tensor out, long from, long to) {
      QuantizedMatrix w = weights.get(i);
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

    @Override
    public void close() {}
  }
}
