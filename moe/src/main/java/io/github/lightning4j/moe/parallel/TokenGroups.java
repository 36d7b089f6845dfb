package io.github.lightning4j.moe.parallel;

/**
 * The order in which rows travel: token groups, within a group the ranks they go to or come from,
 * and of each rank its slots. A slot is an expert: a group holds the tokens of some neighbouring
 * experts of every rank, so the tokens of an expert are not parted, and its weights are read once.
 * Where more groups are wanted than a rank has experts, the tokens of each rank are cut into parts,
 * and a slot is an expert with one part.
 *
 * @param groups how many
 * @param ranks how many
 * @param experts that each rank holds
 * @param parts of the tokens of a rank
 */
record TokenGroups(int groups, int ranks, int experts, int parts) {
  /** No more parts than the groups need. */
  static TokenGroups of(int groups, int ranks, int experts) {
    return new TokenGroups(groups, ranks, experts, (groups + experts - 1) / experts);
  }

  /** The slots of each rank. */
  int slots() {
    return experts * parts;
  }

  /** The slot of an expert, by its number on its rank, for one of T tokens. */
  int slot(int expert, long token, long tokens) {
    return (int) (token * parts / tokens) * experts + expert;
  }

  /** The expert of a slot. */
  int expert(int slot) {
    return slot % experts;
  }

  /** The first slot of a group. */
  int firstSlot(int group) {
    return (int) ((long) group * slots() / groups);
  }

  /** The place in the order of what one rank and slot of a group share. */
  int bucket(int group, int rank, int slot) {
    int first = firstSlot(group);
    return first * ranks + rank * (firstSlot(group + 1) - first) + slot - first;
  }

  /** The group of a slot. */
  int groupOf(int slot) {
    int group = (int) ((long) slot * groups / slots());
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
