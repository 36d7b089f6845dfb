package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertIndex;
import java.util.Arrays;

/**
 * Where the pairs of this rank go: one row for each kept pair and ETP rank, sorted (stably) in the
 * order of {@link TokenGroups}.
 */
final class Routes {
  private final TokenGroups order;
  private final int[] offsets;
  private final int[] pairs;
  private final int[] positions;
  private final int[] counts;

  private Routes(TokenGroups order, int[] offsets, int[] pairs, int[] positions, int[] counts) {
    this.order = order;
    this.offsets = offsets;
    this.pairs = pairs;
    this.positions = positions;
    this.counts = counts;
  }

  /**
   * Sorts the pairs of a batch.
   *
   * @param index {@code [T, k]} I32
   * @param repetition for each pair the EDP repetition that computes it, -1 where it is dropped
   * @param first a number that spreads the ranks over the replicas of an expert
   * @throws IllegalArgumentException if an entry is not an expert
   */
  static Routes of(
      Tensor index, int[] repetition, ExpertLayout layout, TokenGroups order, int first) {
    int etp = layout.etp();
    int[] bucketOf = new int[repetition.length * etp];
    int[] counts = new int[order.ranks() * order.slots()];
    int[] offsets = new int[counts.length + 1];
    int[] turns = new int[layout.experts()];
    Arrays.fill(turns, first);
    ExpertIndex.forEach(
        index,
        layout.experts(),
        (pair, expert) -> {
          int physical = repetition[pair] < 0 ? -1 : layout.physical(expert, turns[expert]++);
          for (int part = 0; part < etp; part++) {
            if (physical < 0) {
              bucketOf[pair * etp + part] = -1;
              continue;
            }
            int slot = order.slot(layout.slot(physical), pair / index.size(1), index.size(0));
            int rank = layout.rank(repetition[pair], physical) + part;
            int bucket = order.bucket(order.groupOf(slot), rank, slot);
            bucketOf[pair * etp + part] = bucket;
            counts[rank * order.slots() + slot]++;
            offsets[bucket + 1]++;
          }
        });
    Arrays.parallelPrefix(offsets, Integer::sum);
    return place(order, offsets, bucketOf, etp, counts);
  }

  private static Routes place(
      TokenGroups order, int[] offsets, int[] bucketOf, int etp, int[] counts) {
    int[] next = offsets.clone();
    int[] pairs = new int[offsets[offsets.length - 1]];
    int[] positions = new int[bucketOf.length];
    for (int copy = 0; copy < bucketOf.length; copy++) {
      positions[copy] = bucketOf[copy] < 0 ? -1 : next[bucketOf[copy]]++;
      if (positions[copy] >= 0) {
        pairs[positions[copy]] = copy / etp;
      }
    }
    return new Routes(order, offsets, pairs, positions, counts);
  }

  /** The rows in all. */
  int rows() {
    return pairs.length;
  }

  /** The pair of each row. */
  int[] pairs() {
    return pairs;
  }

  /** The row of each (pair, ETP rank); -1 if dropped. */
  int[] positions() {
    return positions;
  }

  /** The rows for each (rank, slot of that rank). */
  int[] counts() {
    return counts;
  }

  /** The rows of a token group for each rank. */
  long[] rowsTo(int group) {
    return order.rows(offsets, group);
  }

  /** The rows of a token group, of a tensor with all. */
  Tensor part(Tensor rows, int group) {
    return rows.narrow(0, order.firstRow(offsets, group), order.rowCount(offsets, group));
  }
}
