package io.github.lightning4j.moe.comm.internal;

/**
 * The ranks of one communicator.
 *
 * @param context its number, the same on all its ranks, unique among those of each rank
 * @param ranks the world's rank of each of its ranks
 * @param rank the own rank in it
 */
record Group(int context, int[] ranks, int rank) {
  int size() {
    return ranks.length;
  }

  int headerTag() {
    return 2 * context;
  }

  int payloadTag() {
    return 2 * context + 1;
  }
}
