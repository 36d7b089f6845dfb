package io.github.lightning4j.vlmquant;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.kvquant.transform.Hadamard;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Keys, values, queries and outputs in the basis of the stores: each head times its normalized
 * Hadamard matrix H, which is its own inverse, so that {@code (q H)(k H)^T = q k^T} and {@code sum
 * p (v H) H = sum p v}.
 */
final class RotatedRows {
  private static final float MAX_F16 = 65504;
  private static final long GRAIN = 1 << 14;

  private RotatedRows() {}

  /** Rotates heads {@code [T, heads, headDim]} where they lie; the tensor is contiguous. */
  static void rotate(Tensor x, Hadamard hadamard) {
    if (x.elements() > 0) {
      int dim = (int) x.size(2);
      Tensor rows = x.reshape(x.size(0) * x.size(1), dim);
      hadamard.apply(rows, dim, rows);
    }
  }

  /** A contiguous copy, rotated. */
  static Tensor of(Tensor x, Hadamard hadamard, MemoryScope scope) {
    Tensor copy = scope.allocate(DType.F32, x.shape());
    copy.copyFrom(x);
    rotate(copy, hadamard);
    return copy;
  }

  /**
   * A contiguous copy of keys or values, rotated, that the stores can hold.
   *
   * @throws NonFiniteInputException if one is NaN or infinite
   * @throws IllegalArgumentException if one goes beyond the range of the type that holds it
   */
  static Tensor checked(
      String what,
      Tensor x,
      VlmCacheConfig config,
      long first,
      Hadamard hadamard,
      MemoryScope scope) {
    Tensor copy = of(x, hadamard, scope);
    // What is not finite spreads over its head, so one look at the rotated rows is enough.
    long bad = firstBeyond(copy, config.dtype() == DType.F16 ? MAX_F16 : Float.MAX_VALUE);
    if (bad < copy.elements()) {
      throw fault(what, x, copy, bad, config, first);
    }
    return copy;
  }

  private static RuntimeException fault(
      String what, Tensor x, Tensor rotated, long beyond, VlmCacheConfig config, long first) {
    float value = (float) rotated.accessor().get(beyond);
    int dim = config.headDim();
    rotated.copyFrom(x); // as it came
    long bad = firstBeyond(rotated, Float.MAX_VALUE);
    if (bad < rotated.elements()) {
      long head = bad / dim % config.kvHeads();
      float found = (float) rotated.accessor().get(bad);
      return new NonFiniteInputException(what, (int) (bad % dim), found)
          .at(what, config.layer(), (int) head, first + bad / dim / config.kvHeads());
    }
    return new IllegalArgumentException(
        what
            + ", layer "
            + config.layer()
            + ", token "
            + (first + beyond / dim / config.kvHeads())
            + ": expected magnitudes to "
            + (config.dtype() == DType.F16 ? "65504" : "those of F32")
            + " once rotated, got "
            + value
            + (config.dtype() == DType.F16 ? "; hold recent tokens in BF16" : ""));
  }

  /** The first element whose magnitude is not at most {@code limit}, or their number. */
  private static long firstBeyond(Tensor x, float limit) {
    Elements elements = x.accessor();
    AtomicLong first = new AtomicLong(x.elements());
    Threads.forRanges(
        x.elements(),
        GRAIN,
        (from, to) -> {
          for (long i = from; i < to; i++) {
            if (!(Math.abs(elements.get(i)) <= limit)) {
              first.accumulateAndGet(i, Math::min);
              return;
            }
          }
        });
    return first.get();
  }
}
