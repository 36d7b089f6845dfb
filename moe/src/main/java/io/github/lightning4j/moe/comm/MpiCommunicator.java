package io.github.lightning4j.moe.comm;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.moe.comm.internal.Collectives;
import io.github.lightning4j.moe.comm.internal.MpiLibrary;
import io.github.lightning4j.moe.comm.internal.MpiTransport;
import io.github.lightning4j.moe.comm.internal.ThreadTransport;
import java.lang.System.Logger.Level;

/**
 * Ranks that are processes on one host or many, started by the {@code mpirun} of Open MPI 3 or
 * newer. See the module's README for the command.
 *
 * <p>Nothing of MPI is needed to build or to load this class: {@code libmpi.so.40} is looked for
 * when a job started by {@code mpirun} first asks for it. A process that was started by itself is a
 * world of one rank and needs no MPI at all.
 */
public final class MpiCommunicator {
  private static final String[] LAUNCHED = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"};
  private static final String LOCAL_RANK = "OMPI_COMM_WORLD_LOCAL_RANK";
  private static final String[] FOREIGN = {"PMI_SIZE", "MPI_LOCALNRANKS"};

  private MpiCommunicator() {}

  /** Whether Open MPI can be used here; if not, why, and what to do. */
  public static Availability availability() {
    return MpiLibrary.availability();
  }

  /** Whether this process was started as a rank of an Open MPI job. */
  public static boolean isLaunched() {
    return isSet(LAUNCHED);
  }

  /**
   * The number of this process among those of the job on its host, as {@code mpirun} tells it: the
   * GPU that it takes where each has one. 0 for a process that was started by itself.
   */
  public static int localRank() {
    String told = System.getenv(LOCAL_RANK);
    return told == null ? 0 : Integer.parseInt(told);
  }

  /**
   * Joins the job. Once in a process, and before long work such as loading a checkpoint, as the
   * ranks wait for each other. The communicator must be closed, or the other ranks take this one as
   * failed when the process ends.
   *
   * @throws IllegalStateException if Open MPI is not there or does not start, if a rank does not
   *     come within a minute or dies before it comes, if the job was joined before, or if the
   *     process was started by another MPI's launcher
   * @throws RankFailedException if a rank has come but fails or cannot be reached
   */
  public static Communicator world() {
    if (!isLaunched()) {
      if (isSet(FOREIGN)) {
        throw new IllegalStateException(
            "this process was started by the launcher of another MPI; use the mpirun of Open MPI");
      }
      System.getLogger(MpiCommunicator.class.getName())
          .log(Level.INFO, "not started by mpirun: a world of one rank");
      return Collectives.world(ThreadTransport.connected(1).get(0));
    }
    availability().ensure("Open MPI");
    return MpiTransport.join();
  }

  /**
   * Joins the job, runs a task, and leaves. If the task throws, the other ranks get a {@link
   * RankFailedException} with its message.
   *
   * @throws Exception what the task throws
   */
  public static void run(RankTask task) throws Exception {
    try (Communicator world = world()) {
      try {
        task.run(world);
      } catch (Throwable t) {
        world.fail(t);
        throw t;
      }
    }
  }

  private static boolean isSet(String[] names) {
    for (String name : names) {
      if (System.getenv(name) != null) {
        return true;
      }
    }
    return false;
  }
}
