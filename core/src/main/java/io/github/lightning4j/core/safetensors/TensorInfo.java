package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.DType;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What the header of a file says about one tensor.
 *
 * @param name the tensor's name
 * @param type the type of the stored elements
 * @param shape the shape; empty for a scalar
 * @param begin where the data begins, in bytes from the start of the file (the header's offsets
 *     count from the end of the header; this does not)
 * @param end one past the last byte, counted like {@code begin}
 */
public record TensorInfo(String name, StoredType type, long[] shape, long begin, long end) {
  /** Keeps a copy of the shape. */
  public TensorInfo {
    shape = shape.clone();
  }

  /** A copy of the shape. */
  @Override
  public long[] shape() {
    return shape.clone();
  }

  /** The element type as a tensor, or null if {@link StoredType} lists it only. */
  public @Nullable DType dtype() {
    return type.dtype();
  }

  /** The number of elements. */
  public long elements() {
    return bytes() / type.bytes();
  }

  /** The size of the data in bytes. */
  public long bytes() {
    return end - begin;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof TensorInfo that
        && name.equals(that.name)
        && type == that.type
        && Arrays.equals(shape, that.shape)
        && begin == that.begin
        && end == that.end;
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + Long.hashCode(begin);
  }

  @Override
  public String toString() {
    return name + " " + type + Arrays.toString(shape) + " at [" + begin + ", " + end + ")";
  }
}
