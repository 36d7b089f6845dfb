package io.github.lightning4j.core.quant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.internal.QuantKernels;
import io.github.lightning4j.core.internal.QuantStore;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The weights {@code [N, K]} of a linear layer in 8 or 4 bits, in memory of its own or in a mapped
 * file; see {@link QuantFormat} for what a code stands for.
 *
 * <p>Scales are rounded to bf16 first, then codes are chosen for the rounded scale. With 8 bits a
 * group's largest magnitude becomes 127. With 4 bits the range of a group, widened to hold 0, is
 * tried at 1, 0.95, ... 0.65 of its length, and the clip with the least squared error is taken. A
 * group so small that its scale falls below 1e-30 becomes zero. Cost: one read of the weights; with
 * 4 bits some 70 operations a weight. The codes are the same on every backend.
 *
 * <p>Immutable and safe to share between threads, until its owner closes it.
 */
public final class QuantizedMatrix implements AutoCloseable {
  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  /** Weights below which one thread is faster than two. */
  private static final long GRAIN = 1 << 15;

  private final QuantStore store;
  private final @Nullable QuantizationError error;
  private final QuantKernels kernels;

  private QuantizedMatrix(
      QuantStore store, @Nullable QuantizationError error, QuantKernels kernels) {
    this.store = store;
    this.error = error;
    this.kernels = kernels;
  }

  /**
   * Quantizes weights, on the fastest backend of this machine.
   *
   * @param w {@code [N, K]} F32, BF16 or F16, at least one element, row stride free; only read
   * @throws IllegalArgumentException if type or shape do not fit, or a weight is NaN or infinite,
   *     naming its row and column
   */
  public static QuantizedMatrix quantize(Tensor w, QuantFormat format) {
    return quantize(w, format, CoreKernels.library().preferred());
  }

  /**
   * As {@link #quantize(Tensor, QuantFormat)}, on a certain backend.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static QuantizedMatrix quantize(Tensor w, QuantFormat format, Backend backend) {
    checkWeights(w);
    return filled(new QuantStore(format, w.size(0), w.size(1)), w, QuantKernels.of(backend));
  }

  /**
   * As {@link #quantize(Tensor, QuantFormat)}, into memory of the caller's, so that the matrices of
   * a model may lie in one piece.
   *
   * @param outImage U8 {@code [imageBytes(format, N, K)]}, contiguous, all zero; must outlive the
   *     matrix
   * @throws IllegalArgumentException as above, or if the image is of another type or size
   */
  public static QuantizedMatrix quantize(Tensor w, QuantFormat format, Tensor outImage) {
    checkWeights(w);
    checkImage("outImage", outImage, imageBytes(format, w.size(0), w.size(1)));
    Checks.writable("outImage", outImage);
    QuantStore store = new QuantStore(format, w.size(0), w.size(1), outImage);
    return filled(store, w, QuantKernels.of(CoreKernels.library().preferred()));
  }

  private static void checkWeights(Tensor w) {
    Checks.matrix("w", w, WEIGHTS);
    checkArgument(w.elements() > 0, "w: expected a matrix with elements, got %s", w);
  }

  private static void checkImage(String name, Tensor image, long bytes) {
    Checks.dtype(name, image, DType.U8);
    Checks.shape(name, image, bytes);
    Checks.contiguous(name, image);
  }

  private static QuantizedMatrix filled(QuantStore store, Tensor w, QuantKernels kernels) {
    try {
      return new QuantizedMatrix(store, fill(store, w, kernels), kernels);
    } catch (RuntimeException | Error e) {
      store.close();
      throw e;
    }
  }

  /**
   * A matrix that was quantized before and whose {@link #image} was kept, in a file for example.
   * Nothing is copied: the image must outlive the matrix.
   *
   * @param rows N
   * @param columns K
   * @param image U8 {@code [imageBytes(format, rows, columns)]}, contiguous; only read. Its scales
   *     are looked at by {@link #checkScales} only: one that is not finite shows in the products of
   *     its row
   * @throws IllegalArgumentException if there are no elements, or the image is of another type or
   *     size
   */
  public static QuantizedMatrix ofImage(QuantFormat format, long rows, long columns, Tensor image) {
    checkArgument(
        rows > 0 && columns > 0, "expected a matrix with elements, got [%s, %s]", rows, columns);
    checkImage("image", image, imageBytes(format, rows, columns));
    QuantKernels kernels = QuantKernels.of(CoreKernels.library().preferred());
    return new QuantizedMatrix(new QuantStore(format, rows, columns, image), null, kernels);
  }

  /** The bytes of the {@link #image} of a matrix: codes, scales, zero points and padding. */
  public static long imageBytes(QuantFormat format, long rows, long columns) {
    return QuantStore.imageBytes(format, rows, columns);
  }

  private static QuantizationError fill(QuantStore store, Tensor w, QuantKernels kernels) {
    try (Tensor report = Tensor.allocate(DType.F64, store.rows(), 3)) {
      AtomicLong broken = new AtomicLong(Long.MAX_VALUE);
      Threads.forRanges(
          store.rows(),
          Math.max(1, GRAIN / store.columns()),
          (from, to) -> {
            long row = kernels.quantize(w, store, report, from, to);
            if (row >= 0) {
              broken.accumulateAndGet(row, Math::min);
            }
          });
      if (broken.get() != Long.MAX_VALUE) {
        throw notFinite(w, broken.get());
      }
      Elements rows = report.accessor();
      QuantizationError total = QuantizationError.NONE;
      for (long n = 0; n < 3 * store.rows(); n += 3) {
        total = total.plus(new QuantizationError(rows.get(n), rows.get(n + 1), rows.get(n + 2)));
      }
      return total;
    }
  }

  private static IllegalArgumentException notFinite(Tensor w, long row) {
    Elements weights = w.accessor();
    long column = 0;
    while (Double.isFinite(weights.get(row * w.stride(0) + column))) {
      column++;
    }
    double weight = weights.get(row * w.stride(0) + column);
    return new IllegalArgumentException(
        "w[" + row + ", " + column + "]: expected a finite weight, got " + weight);
  }

  /** How the weights are coded. */
  public QuantFormat format() {
    return store.format();
  }

  /** The number of rows N, the outputs. */
  public long rows() {
    return store.rows();
  }

  /** The number of columns K, the inputs. */
  public long columns() {
    return store.columns();
  }

  /**
   * What quantization changed.
   *
   * @throws IllegalStateException if this matrix was made from an image, which does not tell
   */
  public QuantizationError error() {
    checkState(error != null, "the error is known where weights are quantized, not from an image");
    return error;
  }

  /** The bytes held outside the heap: codes, scales, zero points and padding. */
  public long bytes() {
    return store.bytes();
  }

  /**
   * What is to be kept for {@link #ofImage}: U8 {@code [imageBytes]}, its layout told by {@code
   * quant_layout.h}. A view that ends with this matrix.
   *
   * @throws IllegalStateException if closed
   */
  public Tensor image() {
    return store.image();
  }

  /**
   * Reads all scales.
   *
   * @throws IllegalArgumentException naming one that is NaN or infinite
   */
  public void checkScales() {
    descriptor();
    Threads.forRanges(rows(), Math.max(1, GRAIN / columns()), store::checkScales);
  }

  /** The weights of a row, exactly; for reference implementations and tests. */
  public float[] row(long row) {
    checkArgument(row >= 0 && row < rows(), "row: expected 0 <= %s < %s", row, rows());
    descriptor();
    float[] weights = new float[Math.toIntExact(columns())];
    for (int k = 0; k < weights.length; k++) {
      weights[k] = store.weight(row, k);
    }
    return weights;
  }

  /**
   * Writes the weights as F32, exactly.
   *
   * @param out {@code [N, K]} F32
   * @throws IllegalArgumentException if type or shape do not fit
   */
  public void dequantize(Tensor out) {
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, rows(), columns());
    Threads.forRanges(
        rows(),
        Math.max(1, GRAIN / columns()),
        (from, to) -> kernels.dequantize(this, out.narrow(0, from, to - from), from));
  }

  /**
   * Writes the weights of some rows as F32, exactly, on the calling thread.
   *
   * @param first the row that goes to the first of {@code out}
   * @param out {@code [n, K]} F32
   * @throws IllegalArgumentException if type or shape do not fit, or there are no such rows
   */
  public void dequantizeRows(long first, Tensor out) {
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, out.size(0), columns());
    checkArgument(
        first >= 0 && first <= rows() - out.size(0),
        "first: expected rows %s to %s to be within 0 to %s",
        first,
        first + out.size(0),
        rows());
    kernels.dequantize(this, out, first);
  }

  /**
   * The address of the {@code QuantMatrix} record of {@code quant_layout.h}, for native kernels.
   *
   * @throws IllegalStateException if closed
   */
  public long descriptor() {
    return store.descriptor();
  }

  /**
   * The bytes that rows of activations take as {@code QuantRows} of {@code quant_layout.h} against
   * this matrix, for native kernels.
   */
  public long activationBytes(long rows) {
    long padded = (store.blocks() + 15) / 16 * 16;
    long codes =
        format().bits() == 8
            ? Short.BYTES * store.paddedColumns()
            : (store.paddedColumns() + 127) / 128 * 128;
    return rows * (codes + 2 * Float.BYTES * padded);
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    store.close();
  }

  @Override
  public String toString() {
    return format() + "[" + rows() + ", " + columns() + "]";
  }
}
