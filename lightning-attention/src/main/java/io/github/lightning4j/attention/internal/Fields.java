package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A block of 64-bit fields in the order of a struct of {@code calls.h}. Keeps the tensors whose
 * addresses it holds alive until {@link #release}.
 */
final class Fields {
  private long[] values = new long[64];
  private int count;
  private final List<Tensor> tensors = new ArrayList<>();

  /** {@code Operand}: tokens {@code [B, T, H, D]}, or {@code [B, H, D]}; null for none. */
  Fields operand(@Nullable Tensor x) {
    if (x == null) {
      return add(0).add(0).add(0).add(0).add(1);
    }
    boolean tokens = x.rank() == 4;
    return address(x)
        .add(x.stride(0))
        .add(tokens ? x.stride(1) : 0)
        .add(x.stride(tokens ? 2 : 1))
        .add(x.dtype().ordinal());
  }

  /** The address of a contiguous tensor; 0 for null. */
  Fields address(@Nullable Tensor x) {
    if (x != null) {
      tensors.add(x);
    }
    return add(x == null ? 0 : x.address());
  }

  /** What all calls have after their operands: decay, options, heads, and channels of k and v. */
  Fields sizes(Tensor logDecay, Options options, long heads, long dk, long dv) {
    return address(logDecay)
        .add((double) options.scale())
        .add(options.silu())
        .add(heads)
        .add(dk)
        .add(dv);
  }

  Fields add(double value) {
    return add(Double.doubleToRawLongBits(value));
  }

  Fields add(boolean value) {
    return add(value ? 1 : 0);
  }

  Fields add(long value) {
    if (count == values.length) {
      values = Arrays.copyOf(values, 2 * count);
    }
    values[count++] = value;
    return this;
  }

  long[] toArray() {
    return Arrays.copyOf(values, count);
  }

  /**
   * For calls made later than the block.
   *
   * @throws IllegalStateException if a tensor has been closed
   */
  void ensureOpen() {
    for (Tensor tensor : tensors) {
      tensor.address();
    }
  }

  /** To be called when the kernels are done. */
  void release() {
    Reference.reachabilityFence(tensors);
  }

  /** {@code Sequence[]}. */
  static long[] of(List<Sequence> sequences) {
    Fields fields = new Fields();
    for (Sequence s : sequences) {
      fields.add(s.row()).add(s.first()).add(s.tokens()).add(s.initial()).add(s.last());
      fields.add(s.untilSnapshot()).add(s.snapshot());
    }
    return fields.toArray();
  }
}
