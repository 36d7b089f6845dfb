package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.BitSet;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What the calls of {@link LightningAttention} demand of their arguments alike. */
final class Arguments {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);
  private static final Set<DType> INDICES = EnumSet.of(DType.I32, DType.I64);

  private Arguments() {}

  /** Checks q, k and v; F64 only if {@code doubles}. */
  static void inputs(Tensor q, Tensor k, Tensor v, int rank, Decay decay, boolean doubles) {
    checkType("q", q, doubles);
    Checks.rank("q", q, rank);
    Checks.denseLast("q", q);
    rows("k", k, q, q.shape());
    values(v, q);
    sizes("q", q, decay);
  }

  /** Checks k and v of a call without queries. */
  static void keysAndValues(Tensor k, Tensor v, Decay decay, boolean doubles) {
    checkType("k", k, doubles);
    Checks.rank("k", k, 4);
    Checks.denseLast("k", k);
    values(v, k);
    sizes("k", k, decay);
  }

  private static void checkType(String name, Tensor x, boolean doubles) {
    if (!doubles || x.dtype() != DType.F64) {
      Checks.dtype(name, x, TYPES);
    }
  }

  private static void values(Tensor v, Tensor like) {
    Checks.rank("v", v, like.rank());
    long[] shape = like.shape();
    shape[shape.length - 1] = v.size(-1);
    rows("v", v, like, shape);
    checkArgument(v.size(-1) >= 1, "v: expected heads of at least one channel, got %s", v);
  }

  private static void sizes(String name, Tensor x, Decay decay) {
    checkArgument(x.size(-2) >= 1, "%s: expected at least one head, got %s", name, x);
    checkArgument(x.size(-1) >= 1, "%s: expected heads of at least one channel, got %s", name, x);
    checkArgument(
        decay.heads() == x.size(-2),
        "decay: expected %s heads as %s has, got %s",
        x.size(-2),
        name,
        decay.heads());
  }

  /** Rows of the type of {@code like}. */
  static void rows(String name, Tensor x, Tensor like, long... shape) {
    Checks.dtype(name, x, like.dtype());
    placed(name, x, like, shape);
  }

  /** Rows of the type of {@code like} or F32. */
  static void outputRows(String name, Tensor x, Tensor like, long... shape) {
    DType type = like.dtype();
    if (x.dtype() != DType.F32 || type == DType.F64) {
      checkArgument(
          x.dtype() == type,
          "%s: expected dtype %s%s, got %s",
          name,
          type,
          type.bytes() == 2 ? " or F32" : "",
          x.dtype());
    }
    placed(name, x, like, shape);
  }

  private static void placed(String name, Tensor x, Tensor like, long... shape) {
    Checks.shape(name, x, shape);
    Checks.denseLast(name, x);
    Checks.sameDevice(name, x, "q", like);
  }

  /** The type of states that go with inputs. */
  static DType stateType(Tensor like) {
    return like.dtype() == DType.F64 ? DType.F64 : DType.F32;
  }

  /** {@code [entries, H, Dk, Dv]}; -1 for any number of entries. */
  static void states(String name, Tensor x, Tensor k, Tensor v, long entries) {
    Checks.dtype(name, x, stateType(k));
    Checks.rank(name, x, 4);
    long first = entries < 0 ? x.size(0) : entries;
    Checks.shape(name, x, first, k.size(-2), k.size(-1), v.size(-1));
    Checks.contiguous(name, x);
    Checks.sameDevice(name, x, "q", k);
  }

  /** {@code [count]} I32, from -1 to below {@code entries}, none twice; identity for null. */
  static long[] slots(@Nullable Tensor slots, long count, long entries, Tensor like) {
    long[] indices = new long[(int) count];
    if (slots == null) {
      for (int i = 0; i < count; i++) {
        indices[i] = i;
      }
      return indices;
    }
    Checks.dtype("slots", slots, DType.I32);
    Checks.shape("slots", slots, count);
    Checks.contiguous("slots", slots);
    Checks.sameDevice("slots", slots, "q", like);
    Elements wanted = slots.accessor();
    BitSet taken = new BitSet();
    for (int i = 0; i < count; i++) {
      long slot = wanted.getLong(i);
      checkArgument(
          slot >= -1 && slot < entries,
          "slots[%s]: expected -1 <= slot < %s, got %s",
          i,
          entries,
          slot);
      if (slot >= 0) {
        checkArgument(
            !taken.get((int) slot), "slots[%s]: slot %s is used by another row already", i, slot);
        taken.set((int) slot);
      }
      indices[i] = slot;
    }
    return indices;
  }

  /** {@code [N + 1]} from 0, ascending, to {@code tokens}. */
  static long[] offsets(Tensor offsets, long tokens, Tensor like) {
    Checks.dtype("offsets", offsets, INDICES);
    Checks.rank("offsets", offsets, 1);
    Checks.contiguous("offsets", offsets);
    Checks.sameDevice("offsets", offsets, "q", like);
    long[] bounds = offsets.toLongs();
    checkArgument(bounds.length >= 1, "offsets: expected at least one entry, got none");
    checkArgument(bounds[0] == 0, "offsets[0]: expected 0, got %s", bounds[0]);
    for (int i = 1; i < bounds.length; i++) {
      checkArgument(
          bounds[i] >= bounds[i - 1],
          "offsets[%s]: expected at least %s, the one before, got %s",
          i,
          bounds[i - 1],
          bounds[i]);
    }
    checkArgument(
        bounds[bounds.length - 1] == tokens,
        "offsets: expected to end at the %s tokens of q, got %s",
        tokens,
        bounds[bounds.length - 1]);
    return bounds;
  }
}
