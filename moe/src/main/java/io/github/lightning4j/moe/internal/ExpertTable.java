package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/**
 * Experts and the pairs they are to work on, as {@code struct Expert} of {@code expert.h} lays them
 * out. Quantized weights have no strides but the addresses of their records.
 */
final class ExpertTable {
  /** Longs in a record: three weights with their row strides, first pair, count of pairs. */
  private static final int FIELDS = 8;

  private final Experts weights;
  private final Tensor records;
  private final Elements to;
  private int size;
  private long pairs;

  /** An empty table, with room for each expert once. */
  ExpertTable(Experts weights, GrowingBuffer memory) {
    this.weights = weights;
    records = memory.take(DType.I64, weights.experts(), FIELDS);
    to = records.accessor();
  }

  /** Adds an expert for the pairs at positions {@code [first, first + count)}. */
  void add(int expert, long first, long count) {
    long at = (long) size++ * FIELDS;
    pairs += count;
    if (weights instanceof ExpertWeights plain) {
      put(at, plain.gate().get(expert));
      put(at + 2, plain.up().get(expert));
      put(at + 4, plain.down().get(expert));
    } else if (weights instanceof QuantizedExpertWeights quantized) {
      to.setLong(at, quantized.gate(expert).descriptor());
      to.setLong(at + 2, quantized.up(expert).descriptor());
      to.setLong(at + 4, quantized.down(expert).descriptor());
    }
    to.setLong(at + 6, first);
    to.setLong(at + 7, count);
  }

  private void put(long at, Tensor weight) {
    to.setLong(at, weight.address());
    to.setLong(at + 1, weight.stride(0));
  }

  /**
   * Empties it.
   *
   * @throws IllegalStateException if its memory has been given back since
   */
  void clear() {
    records.address();
    size = 0;
    pairs = 0;
  }

  long address() {
    return records.address();
  }

  /** The experts listed. */
  int size() {
    return size;
  }

  /** Their pairs. */
  long pairs() {
    return pairs;
  }
}
