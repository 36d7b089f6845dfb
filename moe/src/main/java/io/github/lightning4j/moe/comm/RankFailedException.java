package io.github.lightning4j.moe.comm;

/**
 * A rank has failed: its process died, its host fell silent, it threw, or it left before the others
 * were done. Nothing more can be sent or received by any rank; end the process and start the job
 * again.
 *
 * <p>Over MPI the tensors of operations that were under way may lie in memory that a remote network
 * card still writes; do not close them before the process ends.
 */
public final class RankFailedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int rank;

  /**
   * A failure of a rank.
   *
   * @param rank its number in the communicator of all ranks
   * @param size how many ranks there are
   * @param reason what happened to it
   */
  public RankFailedException(int rank, int size, String reason) {
    super(
        "rank %d of %d failed: %s; the job cannot go on, start all ranks again"
            .formatted(rank, size, reason));
    this.rank = rank;
  }

  /** The rank that failed, by its number in the communicator of all ranks. */
  public int rank() {
    return rank;
  }
}
