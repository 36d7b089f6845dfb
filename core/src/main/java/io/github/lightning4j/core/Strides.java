package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/** Walks over strided memory in row-major order. */
final class Strides {
  private static final long MAX_ELEMENTS = Long.MAX_VALUE / 8;

  private Strides() {}

  /** Takes the running count and the element offset. */
  @FunctionalInterface
  interface Visitor {
    void at(int index, long offset);
  }

  /** Takes the element offsets in two memories. */
  @FunctionalInterface
  interface PairVisitor {
    void at(long first, long second);
  }

  static void forEach(long[] shape, long[] strides, Visitor visitor) {
    int[] count = {0};
    forEachPair(shape, strides, strides, (offset, same) -> visitor.at(count[0]++, offset));
  }

  static void forEachPair(long[] shape, long[] first, long[] second, PairVisitor visitor) {
    walk(shape, first, second, 0, 0, 0, visitor);
  }

  private static void walk(
      long[] shape, long[] first, long[] second, int dim, long a, long b, PairVisitor visitor) {
    if (dim == shape.length) {
      visitor.at(a, b);
      return;
    }
    for (long i = 0; i < shape[dim]; i++) {
      walk(shape, first, second, dim + 1, a + i * first[dim], b + i * second[dim], visitor);
    }
  }

  static long[] contiguous(long[] shape) {
    long[] strides = new long[shape.length];
    long stride = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= Math.max(1, shape[i]);
    }
    return strides;
  }

  static boolean areContiguous(long[] shape, long[] strides) {
    if (count(shape) == 0) {
      return true;
    }
    long expected = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      if (shape[i] != 1 && strides[i] != expected) {
        return false;
      }
      expected *= shape[i];
    }
    return true;
  }

  /** All sizes or strides but one. */
  static long[] without(long[] all, int dim) {
    long[] rest = new long[all.length - 1];
    System.arraycopy(all, 0, rest, 0, dim);
    System.arraycopy(all, dim + 1, rest, dim, rest.length - dim);
    return rest;
  }

  /** The number of elements; checks for negative sizes and for more bytes than a long can count. */
  static long count(long[] shape) {
    long count = 1;
    for (long size : shape) {
      if (size < 0 || size > 0 && count > MAX_ELEMENTS / size) {
        throw new IllegalArgumentException(
            "shape: expected sizes >= 0 and a product below 2^60, got " + Arrays.toString(shape));
      }
      count *= size;
    }
    return count;
  }

  static long bytes(DType dtype, long[] shape) {
    return count(shape) * dtype.bytes();
  }

  static void checkCount(int values, long[] shape) {
    if (values != count(shape)) {
      throw new IllegalArgumentException(
          "values: expected "
              + count(shape)
              + " for shape "
              + Arrays.toString(shape)
              + ", got "
              + values);
    }
  }

  /** Elements from the first to one past the last; 0 where there is none. */
  static long span(long[] shape, long[] strides) {
    long last = 0;
    for (int i = 0; i < shape.length; i++) {
      if (shape[i] == 0) {
        return 0;
      }
      last += (shape[i] - 1) * strides[i];
    }
    return last + 1;
  }

  /** The span, after checks for negative sizes, negative strides and overflow. */
  static long checkedSpan(long[] shape, long[] strides) {
    checkArgument(
        shape.length == strides.length,
        "strided: %s sizes but %s strides",
        shape.length,
        strides.length);
    count(shape);
    double last = 0;
    for (int i = 0; i < shape.length; i++) {
      last += (double) shape[i] * strides[i];
      if (strides[i] < 0 || last > MAX_ELEMENTS) {
        throw new IllegalArgumentException(
            "strides: expected >= 0 and a reach below 2^60, got " + Arrays.toString(strides));
      }
    }
    return span(shape, strides);
  }
}
