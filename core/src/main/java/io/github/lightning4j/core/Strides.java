package io.github.lightning4j.core;

/** Walks over strided memory in row-major order. */
final class Strides {
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

  /** The number of elements; checks for negative sizes and overflow. */
  static long count(long[] shape) {
    long count = 1;
    for (long size : shape) {
      if (size < 0) {
        throw new IllegalArgumentException(
            "shape: expected sizes >= 0, got " + java.util.Arrays.toString(shape));
      }
      count = Math.multiplyExact(count, size);
    }
    return count;
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
}
