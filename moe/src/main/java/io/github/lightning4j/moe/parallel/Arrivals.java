package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/** What comes to the experts of this rank: rows in the order of {@link TokenGroups}. */
final class Arrivals {
  private final TokenGroups order;
  private final int[] offsets;

  /**
   * Arrivals by their counts.
   *
   * @param counts {@code [ranks, slots]} I32, the rows from each rank
   */
  Arrivals(Tensor counts, TokenGroups order) {
    this.order = order;
    offsets = new int[order.ranks() * order.slots() + 1];
    Elements from = counts.accessor();
    for (int rank = 0; rank < order.ranks(); rank++) {
      for (int slot = 0; slot < order.slots(); slot++) {
        int bucket = order.bucket(order.groupOf(slot), rank, slot);
        offsets[bucket + 1] = (int) from.getLong((long) rank * order.slots() + slot);
      }
    }
    Arrays.parallelPrefix(offsets, Math::addExact);
  }

  /** The rows in all. */
  int rows() {
    return offsets[offsets.length - 1];
  }

  /** The expert of each row, by its number on this rank. */
  int[] experts() {
    int[] experts = new int[rows()];
    for (int group = 0; group < order.groups(); group++) {
      for (int rank = 0; rank < order.ranks(); rank++) {
        for (int slot = order.firstSlot(group); slot < order.firstSlot(group + 1); slot++) {
          int bucket = order.bucket(group, rank, slot);
          Arrays.fill(experts, offsets[bucket], offsets[bucket + 1], order.expert(slot));
        }
      }
    }
    return experts;
  }

  /** The rows of a token group from each rank. */
  long[] rowsFrom(int group) {
    return order.rows(offsets, group);
  }

  /** The rows of a token group, of a tensor with all. */
  Tensor part(Tensor rows, int group) {
    return rows.narrow(0, order.firstRow(offsets, group), order.rowCount(offsets, group));
  }
}
