package io.github.lightning4j.moe.parallel;

/**
 * The order in which rows travel: token groups, within a group the ranks they go to or come from,
 * and of each rank the experts. A group holds the tokens of some neighbouring experts of every
 * rank, so that the tokens of an expert are never parted, and its weights are read once.
 *
 * @param groups how many
 * @param ranks how many
 * @param perRank experts that each rank holds
 */
record TokenGroups(int groups, int ranks, int perRank) {
  /** No more groups than a rank has experts. */
  static TokenGroups of(int wanted, int ranks, int perRank) {
    return new TokenGroups(Math.min(wanted, perRank), ranks, perRank);
  }

  /** The first expert of a group, by its number on its rank. */
  int firstSlot(int group) {
    return (int) ((long) group * perRank / groups);
  }

  /** The place in the order of what one rank and expert of a group share. */
  int bucket(int group, int rank, int slot) {
    int first = firstSlot(group);
    return first * ranks + rank * (firstSlot(group + 1) - first) + slot - first;
  }

  /** The group of an expert. */
  int groupOf(int slot) {
    int group = (int) ((long) slot * groups / perRank);
    return firstSlot(group + 1) <= slot ? group + 1 : group;
  }

  /** Given the first row of each bucket, the rows of each rank in a group. */
  long[] rows(int[] offsets, int group) {
    long[] rows = new long[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      int from = bucket(group, rank, firstSlot(group));
      rows[rank] = offsets[from + firstSlot(group + 1) - firstSlot(group)] - offsets[from];
    }
    return rows;
  }

  /** Given the first row of each bucket, the first row of a group. */
  int firstRow(int[] offsets, int group) {
    return offsets[firstSlot(group) * ranks];
  }

  /** Given the first row of each bucket, the rows of a group. */
  int rowCount(int[] offsets, int group) {
    return firstRow(offsets, group + 1) - firstRow(offsets, group);
  }
}
