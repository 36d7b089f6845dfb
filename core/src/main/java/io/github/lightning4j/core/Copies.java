package io.github.lightning4j.core;

import org.bytedeco.javacpp.Pointer;

/** Copies of elements: from tensors to arrays, and between tensors of any strides and types. */
final class Copies {
  private Copies() {}

  static float[] floats(Elements from, long[] shape, long[] strides) {
    float[] values = new float[Math.toIntExact(Strides.count(shape))];
    Strides.forEach(shape, strides, (i, offset) -> values[i] = from.getFloat(offset));
    return values;
  }

  static double[] doubles(Elements from, long[] shape, long[] strides) {
    double[] values = new double[Math.toIntExact(Strides.count(shape))];
    Strides.forEach(shape, strides, (i, offset) -> values[i] = from.get(offset));
    return values;
  }

  static long[] longs(Elements from, long[] shape, long[] strides) {
    long[] values = new long[Math.toIntExact(Strides.count(shape))];
    Strides.forEach(shape, strides, (i, offset) -> values[i] = from.getLong(offset));
    return values;
  }

  /** Copies between tensors of one shape; the same bits where the types are the same. */
  static void copy(Tensor source, long[] sourceStrides, Tensor target, long[] targetStrides) {
    long[] shape = target.shape();
    if (source.dtype() == target.dtype() && source.isContiguous() && target.isContiguous()) {
      Pointer.memmove(target.pointer(), source.pointer(), source.spanBytes());
      return;
    }
    Elements from = source.accessor();
    Elements to = target.accessor();
    if (source.dtype() == target.dtype()) {
      Strides.forEachPair(shape, targetStrides, sourceStrides, (a, b) -> to.setSame(a, from, b));
    } else {
      Strides.forEachPair(
          shape, targetStrides, sourceStrides, (a, b) -> to.setConverted(a, from, b));
    }
  }
}
