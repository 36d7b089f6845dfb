package io.github.lightning4j.moe.comm;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.moe.comm.internal.NcclProbe;
import io.github.lightning4j.moe.comm.internal.NcclTransport;

/**
 * Ranks of an MPI job that have a GPU each and move the data of their operations by NCCL. Calls,
 * sizes and signs of life go over MPI and beside it, as in {@link MpiCommunicator}, so ranks that
 * disagree or die are found and named in the same way, and sums are added in the same order.
 *
 * <p>Data in host memory, where the tensors of these operations live, is copied to the GPU and
 * back; between hosts without a network that NCCL knows, {@link MpiCommunicator} alone is then the
 * faster choice. Sums in the memory of GPUs are {@link CudaRankSum}'s.
 *
 * <p>Nothing of CUDA is needed to build or to load this class. {@code org.bytedeco:cuda} is an
 * optional dependency, and {@code libnccl.so.2} is looked for on first use.
 */
public final class NcclCommunicator {
  private NcclCommunicator() {}

  /**
   * Whether there is a GPU and NCCL; found out on the first call. Never throws.
   *
   * @return available, with the version of NCCL, or what is missing and how to get it
   */
  public static Availability availability() {
    return Holder.AVAILABILITY;
  }

  /**
   * Joins the job, as {@link MpiCommunicator#world} does; a process that was started by itself is a
   * world of one rank and needs neither MPI nor NCCL.
   *
   * @param device the CUDA device of this rank; NCCL refuses one that another rank has. With one
   *     rank a GPU it is {@link MpiCommunicator#localRank}
   * @throws IllegalStateException if NCCL is not available, with what is missing, or as {@link
   *     MpiCommunicator#world}
   * @throws RankFailedException as {@link MpiCommunicator#world}
   */
  public static Communicator world(int device) {
    checkArgument(device >= 0, "device: expected >= 0, got %s", device);
    if (!MpiCommunicator.isLaunched()) {
      return MpiCommunicator.world();
    }
    availability().ensure("NCCL");
    MpiCommunicator.availability().ensure("Open MPI");
    return NcclTransport.join(device);
  }

  private static final class Holder {
    static final Availability AVAILABILITY =
        Cuda.availability().isAvailable() ? NcclProbe.probe() : Cuda.availability();
  }
}
