package io.github.lightning4j.core.quant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.QuantStore;
import io.github.lightning4j.core.nn.CudaFill;
import org.jspecify.annotations.Nullable;

/**
 * The weights {@code [N, K]} of a linear layer in 8 or 4 bits on a GPU: the {@linkplain
 * QuantizedMatrix#image image} of a {@link QuantizedMatrix}, byte for byte. Owns nothing: the image
 * must outlive it.
 *
 * @param format how the weights are coded
 * @param rows N
 * @param columns K
 * @param image U8 {@code [QuantizedMatrix.imageBytes(format, N, K)]}, contiguous, at a multiple of
 *     16 bytes. Its scales are not looked at
 */
public record CudaQuantizedMatrix(QuantFormat format, long rows, long columns, Tensor image) {
  private static final int ALIGNMENT = 16;

  /** The zero point in the middle of codes of 4 bits. */
  public static final int MIDDLE = 8;

  /**
   * Checks the image.
   *
   * @throws IllegalArgumentException if there are no elements, or the image is of another type or
   *     size or not on a GPU
   */
  public CudaQuantizedMatrix {
    checkArgument(
        rows > 0 && columns > 0, "expected a matrix with elements, got [%s, %s]", rows, columns);
    Checks.dtype("image", image, DType.U8);
    Checks.shape("image", image, QuantizedMatrix.imageBytes(format, rows, columns));
    Checks.contiguous("image", image);
    checkArgument(
        image.device().kind() == Device.Kind.CUDA && image.deviceAddress() % ALIGNMENT == 0,
        "image: expected memory of a GPU at a multiple of %s bytes, got %s",
        ALIGNMENT,
        image);
  }

  /** The codes, U8 {@code [N, bytes of a row]}; a row is a multiple of 16 bytes. */
  public Tensor codes() {
    long rowBytes = QuantStore.rowBytes(format, columns);
    return image.narrow(0, 0, rows * rowBytes).reshape(rows, rowBytes);
  }

  /** The bytes of the scales, U8: bf16 {@code [N, blocks]}. */
  public Tensor scales() {
    long at = QuantStore.scalesAt(format, rows, columns);
    return image.narrow(0, at, rows * blocks() * Short.BYTES);
  }

  /** The zero points, U8 {@code [N, blocks]}; null with 8 bits, which have none. */
  public @Nullable Tensor zeros() {
    long at = QuantStore.zerosAt(format, rows, columns);
    return format.bits() == 4 ? image.narrow(0, at, rows * blocks()).reshape(rows, blocks()) : null;
  }

  /**
   * Random weights, made on the GPU, of a matrix that is only to be measured: uniform with variance
   * 1 / K, so that products keep their size.
   *
   * @param image as above; overwritten
   */
  public static CudaQuantizedMatrix random(
      CudaFill fill, QuantFormat format, long rows, long columns, Tensor image) {
    CudaQuantizedMatrix matrix = new CudaQuantizedMatrix(format, rows, columns, image);
    fill.bits(matrix.codes());
    fill.constantBits(evenScale(format, columns), matrix.scales());
    if (matrix.zeros() != null) {
      fill.bytes(MIDDLE, matrix.zeros());
    }
    return matrix;
  }

  /** The scale with which codes of random bits are weights of variance 1 / K. */
  public static double evenScale(QuantFormat format, long columns) {
    return Math.sqrt(12.0 / columns) / (1 << format.bits());
  }

  /** The scales that a row has. */
  public long blocks() {
    return QuantStore.blocks(format, columns);
  }

  @Override
  public String toString() {
    return format + "[" + rows + ", " + columns + "]@" + image.device();
  }
}
