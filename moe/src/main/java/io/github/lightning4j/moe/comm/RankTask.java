package io.github.lightning4j.moe.comm;

/** What one rank does. */
@FunctionalInterface
public interface RankTask {
  /**
   * Runs on the communicator of all ranks, which is closed for it afterwards.
   *
   * @throws Exception if this rank cannot go on; the other ranks get a {@link RankFailedException}
   */
  void run(Communicator world) throws Exception;
}
