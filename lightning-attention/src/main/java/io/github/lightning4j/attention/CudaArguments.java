package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What the calls of {@link CudaLightningAttention} demand of their arguments alike. */
final class CudaArguments {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;

  CudaArguments(CudaStream stream) {
    this.stream = stream;
  }

  /**
   * Checks inputs and the tables of sequences.
   *
   * @return the number of sequences
   */
  long inputs(Tensor q, Tensor k, Tensor v, Tensor logDecay, @Nullable Tensor offsets) {
    rows("q", q, q, q.shape());
    Checks.rank("q", q, 4);
    rows("k", k, q, q.shape());
    Checks.rank("v", v, 4);
    rows("v", v, q, q.size(0), q.size(1), q.size(2), v.size(3));
    checkArgument(
        q.size(2) >= 1 && q.size(3) >= 1 && v.size(3) >= 1,
        "q: expected at least one head of at least one channel, got %s and v %s",
        q,
        v);
    long sequences = offsets == null ? q.size(0) : offsets.elements() - 1;
    if (offsets != null) {
      checkArgument(q.size(0) == 1, "q: expected one row of packed sequences, got %s", q);
      checkArgument(sequences >= 0, "offsets: expected at least one entry, got none");
      small("offsets", offsets, DType.I32, sequences + 1);
    }
    small("logDecay", logDecay, DType.F32, q.size(2));
    return sequences;
  }

  /** Rows of the type of q or F32. */
  void outputRows(String name, Tensor x, Tensor q, long... shape) {
    stream.check(name, x);
    Checks.dtype(name, x, EnumSet.of(q.dtype(), DType.F32));
    Checks.shape(name, x, shape);
    Checks.denseLast(name, x);
  }

  private void rows(String name, Tensor x, Tensor q, long... shape) {
    stream.check(name, x);
    Checks.dtype(name, x, TYPES);
    Checks.dtype(name, x, q.dtype());
    Checks.shape(name, x, shape);
    Checks.denseLast(name, x);
  }

  void small(String name, Tensor x, DType type, long elements) {
    stream.check(name, x);
    Checks.dtype(name, x, type);
    Checks.shape(name, x, elements);
    Checks.contiguous(name, x);
  }

  /** {@code [entries, H, Dk, Dv]}; -1 for any number of entries. */
  void states(String name, Tensor pool, Tensor q, Tensor v, long entries) {
    stream.check(name, pool);
    Checks.dtype(name, pool, DType.F32);
    Checks.rank(name, pool, 4);
    long first = entries < 0 ? pool.size(0) : entries;
    Checks.shape(name, pool, first, q.size(2), q.size(3), v.size(3));
    Checks.contiguous(name, pool);
  }

  /** Fails if an output shares memory with one of the others. */
  static void apart(String name, Tensor out, @Nullable Tensor... others) {
    for (Tensor other : others) {
      checkArgument(
          other == null || !Checks.overlap(out, other),
          "%s: expected memory of its own, got an overlap of %s with %s",
          name,
          out,
          other);
    }
  }
}
