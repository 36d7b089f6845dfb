package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;

/** Tokens for the caches of tests: what goes in, and what must come out. */
final class CacheContents {
  static final int HEADS = 2;
  static final int DIM = 6;

  private CacheContents() {}

  static Tensor tokens(MemoryScope scope, long seed, long count) {
    return scope.add(Cases.normal(seed, DType.F32, count, HEADS, DIM));
  }

  /** Appends tokens whose values are the keys of another seed. */
  static void append(KvCache cache, long seed, long count) {
    try (MemoryScope scope = new MemoryScope()) {
      cache.append(tokens(scope, seed, count), tokens(scope, seed + 1000, count));
    }
  }

  /** Keys, then values. */
  static float[] contents(KvCache cache) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor both = scope.allocate(DType.F32, 2, cache.length(), cache.kvHeads(), cache.headDim());
      cache.read(both.select(0, 0), both.select(0, 1));
      return both.toFloats();
    }
  }

  static float[] rounded(float[] values, DType dtype) {
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (dtype) {
            case BF16 -> Bfloat16.toFloat(Bfloat16.fromFloat(values[i]));
            case F16 -> Float16.toFloat(Float16.fromFloat(values[i]));
            default -> values[i];
          };
    }
    return values;
  }
}
