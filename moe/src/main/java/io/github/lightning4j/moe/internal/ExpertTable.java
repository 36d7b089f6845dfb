package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/**
 * The experts that get few tokens, as {@code struct Expert} of {@code expert.h} lays them out.
 * Quantized weights have no strides but the addresses of their records.
 */
final class ExpertTable {
  /** Longs in a record: three weights with their row strides, first pair, count of pairs. */
  private static final int FIELDS = 8;

  private final Tensor records;
  private int size;
  private long pairs;

  /** Lists the experts with at least one token and at most {@code limit}. */
  ExpertTable(Experts weights, DispatchPlan plan, int limit, GrowingBuffer memory) {
    records = memory.take(DType.I64, weights.experts(), FIELDS);
    Elements to = records.accessor();
    for (int e = 0; e < weights.experts(); e++) {
      int count = plan.count(e);
      if (count == 0 || count > limit) {
        continue;
      }
      long at = (long) size++ * FIELDS;
      pairs += count;
      if (weights instanceof ExpertWeights plain) {
        put(to, at, plain.gate().get(e));
        put(to, at + 2, plain.up().get(e));
        put(to, at + 4, plain.down().get(e));
      } else if (weights instanceof QuantizedExpertWeights quantized) {
        to.setLong(at, quantized.gate(e).descriptor());
        to.setLong(at + 2, quantized.up(e).descriptor());
        to.setLong(at + 4, quantized.down(e).descriptor());
      }
      to.setLong(at + 6, plan.offset(e));
      to.setLong(at + 7, count);
    }
  }

  private static void put(Elements to, long at, Tensor weight) {
    to.setLong(at, weight.address());
    to.setLong(at + 1, weight.stride(0));
  }

  long address() {
    return records.address();
  }

  /** The experts listed. */
  int size() {
    return size;
  }

  /** Their tokens. */
  long pairs() {
    return pairs;
  }
}
