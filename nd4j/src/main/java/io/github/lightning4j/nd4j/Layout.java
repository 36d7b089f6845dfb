package io.github.lightning4j.nd4j;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** What strides say about where elements lie. None of the shapes has a 0. */
final class Layout {
  private Layout() {}

  /** Elements from the first to one past the last. */
  static long span(long[] shape, long[] strides) {
    long last = 0;
    for (int i = 0; i < shape.length; i++) {
      last += (shape[i] - 1) * strides[i];
    }
    return last + 1;
  }

  /** Refuses strides of an array that step back, or out of the elements there are. */
  static void requireWithin(long elements, long[] shape, long[] strides) {
    double last = 0; // no overflow, whatever the strides
    for (int i = 0; i < shape.length; i++) {
      checkArgument(
          strides[i] >= 0, "array: expected strides >= 0, got %s", Arrays.toString(strides));
      last += (shape[i] - 1.0) * strides[i];
    }
    checkArgument(
        last < elements,
        "array: expected shape %s with strides %s to stay within the %s elements of its buffer",
        Arrays.toString(shape),
        Arrays.toString(strides),
        elements);
  }

  static long[] strides(Tensor tensor) {
    return IntStream.range(0, tensor.rank()).mapToLong(tensor::stride).toArray();
  }

  /**
   * Whether each dimension steps over all that those with smaller strides reach, as it does in
   * every view that indexing and transposing can make of a dense array.
   */
  static boolean isNested(long[] shape, long[] strides) {
    long reach = 0;
    for (int dim : ascending(shape, strides)) {
      if (strides[dim] <= reach) {
        return false;
      }
      reach += (shape[dim] - 1) * strides[dim];
    }
    return true;
  }

  /** ND4J's name for the layout: 'f' for ascending strides, 'c' for all others. */
  static char ordering(long[] shape, long[] strides) {
    int[] dims = ascending(shape, strides);
    boolean columns =
        dims.length > 1 && IntStream.range(1, dims.length).allMatch(i -> dims[i - 1] < dims[i]);
    return columns ? 'f' : 'c';
  }

  /** The dimensions along which there is a step to take, smallest stride first. */
  private static int[] ascending(long[] shape, long[] strides) {
    return IntStream.range(0, shape.length)
        .filter(dim -> shape[dim] > 1)
        .boxed()
        .sorted(Comparator.comparingLong(dim -> strides[dim]))
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
