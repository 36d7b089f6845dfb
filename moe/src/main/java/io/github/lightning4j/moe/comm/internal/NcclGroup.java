package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.moe.comm.RankFailedException;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.nccl.ncclComm;
import org.jspecify.annotations.Nullable;

/**
 * An NCCL communicator, the stream it works on, and one for copies, which so wait for no other
 * rank.
 */
final class NcclGroup {
  private final Group group;
  private final Roster roster;
  private final NcclComm comm;
  private final CUstream_st stream = new CUstream_st();
  private final CUstream_st copies = new CUstream_st();

  /**
   * Joins, with all ranks of the group, on the device in use.
   *
   * @param id from {@link NcclComm#newId} of one rank
   */
  NcclGroup(Group group, byte[] id, Roster roster) {
    this.group = group;
    this.roster = roster;
    for (CUstream_st created : List.of(stream, copies)) {
      check(
          cudart.cudaStreamCreateWithFlags(created, cudart.cudaStreamNonBlocking),
          "cudaStreamCreateWithFlags");
    }
    this.comm = NcclComm.join(group.rank(), group.size(), id, roster::ensureHealthy);
  }

  /** Makes a device that of the calling thread. */
  static void use(int device) {
    check(cudart.cudaSetDevice(device), "cudaSetDevice " + device);
  }

  CUstream_st stream() {
    return stream;
  }

  CUstream_st copies() {
    return copies;
  }

  ncclComm comm() {
    return comm.handle();
  }

  Roster roster() {
    return roster;
  }

  boolean isAborted() {
    return comm.isAborted();
  }

  /** The number here of a rank of the world. */
  int peer(int world) {
    return IntStream.range(0, group.size())
        .filter(r -> group.ranks()[r] == world)
        .findFirst()
        .orElseThrow();
  }

  /** The own number in the world. */
  int worldRank() {
    return group.ranks()[group.rank()];
  }

  /** Waits until NCCL has taken what it was told. */
  void await(int status, String what) {
    try {
      comm.await(status, what);
    } catch (RankFailedException e) {
      abort();
      throw e;
    }
  }

  /** Why NCCL cannot go on, or null. */
  @Nullable String asyncProblem() {
    return comm.asyncProblem();
  }

  static void check(int status, String what) {
    checkState(
        status == cudart.cudaSuccess,
        "%s failed: %s (%s)",
        what,
        status == cudart.cudaSuccess ? "" : cudart.cudaGetErrorString(status).getString(),
        status);
  }

  /** Ends everything under way. */
  void abort() {
    comm.abort();
  }

  /** Ends it together with the other ranks; without them if they fail or take too long. */
  void close() {
    comm.close();
    cudart.cudaStreamDestroy(stream);
    cudart.cudaStreamDestroy(copies);
  }
}
