package io.github.lightning4j.core;

import java.util.Arrays;
import java.util.Set;

/**
 * Argument checks for operators: each message names the argument, what was expected and what came.
 */
public final class Checks {
  private Checks() {}

  /**
   * Checks the element type, and first that the tensor is open.
   *
   * @throws IllegalArgumentException if it is another
   * @throws IllegalStateException if the tensor is closed
   */
  public static void dtype(String name, Tensor tensor, DType expected) {
    open(name, tensor);
    if (tensor.dtype() != expected) {
      throw new IllegalArgumentException(
          name + ": expected dtype " + expected + ", got " + tensor.dtype());
    }
  }

  /**
   * Checks that the element type is one of several, and first that the tensor is open.
   *
   * @throws IllegalArgumentException if it is not
   * @throws IllegalStateException if the tensor is closed
   */
  public static void dtype(String name, Tensor tensor, Set<DType> expected) {
    open(name, tensor);
    if (!expected.contains(tensor.dtype())) {
      throw new IllegalArgumentException(
          name + ": expected dtype in " + expected + ", got " + tensor.dtype());
    }
  }

  private static void open(String name, Tensor tensor) {
    if (tensor.isClosed()) {
      throw new IllegalStateException(name + ": expected an open tensor, got " + tensor);
    }
  }

  /**
   * Checks the shape.
   *
   * @throws IllegalArgumentException if it is another
   */
  public static void shape(String name, Tensor tensor, long... expected) {
    if (!Arrays.equals(tensor.shape(), expected)) {
      throw new IllegalArgumentException(
          name
              + ": expected shape "
              + Arrays.toString(expected)
              + ", got "
              + Arrays.toString(tensor.shape()));
    }
  }

  /**
   * Checks the number of dimensions.
   *
   * @throws IllegalArgumentException if it is another
   */
  public static void rank(String name, Tensor tensor, int expected) {
    if (tensor.rank() != expected) {
      throw new IllegalArgumentException(
          name
              + ": expected "
              + expected
              + " dimensions, got shape "
              + Arrays.toString(tensor.shape()));
    }
  }

  /**
   * Checks that neighbours along the last dimension lie side by side.
   *
   * @throws IllegalArgumentException if they do not
   */
  public static void denseLast(String name, Tensor tensor) {
    if (tensor.size(-1) > 1 && tensor.stride(-1) != 1) {
      throw new IllegalArgumentException(
          name + ": expected a last dimension of stride 1, got stride " + tensor.stride(-1));
    }
  }

  /**
   * Checks that elements lie without gaps.
   *
   * @throws IllegalArgumentException if they do not
   */
  public static void contiguous(String name, Tensor tensor) {
    if (!tensor.isContiguous()) {
      throw new IllegalArgumentException(name + ": expected a contiguous tensor, got " + tensor);
    }
  }

  /** Two dimensions, a dense last one, and this element type. */
  public static void matrix(String name, Tensor tensor, DType expected) {
    dtype(name, tensor, expected);
    rank(name, tensor, 2);
    denseLast(name, tensor);
  }

  /** Two dimensions, a dense last one, and one of these element types. */
  public static void matrix(String name, Tensor tensor, Set<DType> expected) {
    dtype(name, tensor, expected);
    rank(name, tensor, 2);
    denseLast(name, tensor);
  }

  /**
   * Checks that two tensors live on one device.
   *
   * @throws IllegalArgumentException naming both devices if they do not
   */
  public static void sameDevice(String name, Tensor tensor, String otherName, Tensor other) {
    if (!tensor.device().equals(other.device())) {
      throw new IllegalArgumentException(
          name
              + " lives on "
              + tensor.device()
              + " but "
              + otherName
              + " on "
              + other.device()
              + "; move one of them");
    }
  }

  /**
   * Checks that a tensor may be written.
   *
   * @throws IllegalArgumentException if it is a view of read-only memory, such as a mapped file
   */
  public static void writable(String name, Tensor tensor) {
    if (tensor.isReadOnly()) {
      throw new IllegalArgumentException(
          name + ": expected memory that can be written, got a read-only view: " + tensor);
    }
  }

  /** Whether the memory from first to last element of two tensors overlaps. */
  public static boolean overlap(Tensor a, Tensor b) {
    long aStart = a.anyAddress();
    long bStart = b.anyAddress();
    return a.device().equals(b.device())
        && aStart < bStart + b.spanBytes()
        && bStart < aStart + a.spanBytes();
  }

  /** Bytes from the first element of a tensor to that of another on the same device. */
  public static long distance(Tensor from, Tensor to) {
    sameDevice("to", to, "from", from);
    return to.anyAddress() - from.anyAddress();
  }
}
