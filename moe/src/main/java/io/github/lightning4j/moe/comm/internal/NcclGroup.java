package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.internal.Roster.Failure;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.cuda.nccl.ncclComm;
import org.bytedeco.cuda.nccl.ncclConfig_t;
import org.bytedeco.cuda.nccl.ncclUniqueId;
import org.jspecify.annotations.Nullable;

/**
 * An NCCL communicator, the stream it works on, and one for copies, which so wait for no other
 * rank. NCCL is asked never to block, so that waiting for a rank that is gone ends when the roster
 * says so.
 */
final class NcclGroup {
  private static final long FINISH_NANOS = 10_000_000_000L;

  private final Group group;
  private final int worldSize;
  private final Roster roster;
  private final ncclComm comm = new ncclComm();
  private final CUstream_st stream = new CUstream_st();
  private final CUstream_st copies = new CUstream_st();
  private boolean aborted;

  /**
   * Joins, with all ranks of the group, on the device in use.
   *
   * @param worldSize how many ranks the world has
   * @param id from {@link #newId} of one rank
   */
  NcclGroup(Group group, int worldSize, byte[] id, Roster roster) {
    this.group = group;
    this.worldSize = worldSize;
    this.roster = roster;
    for (CUstream_st created : List.of(stream, copies)) {
      check(
          cudart.cudaStreamCreateWithFlags(created, cudart.cudaStreamNonBlocking),
          "cudaStreamCreateWithFlags");
    }
    try (ncclUniqueId agreed = new ncclUniqueId();
        ncclConfig_t config = unblocking()) {
      agreed.internal().put(id);
      await(
          nccl.ncclCommInitRankConfig(comm, group.size(), agreed, group.rank(), config),
          "ncclCommInitRankConfig");
    }
  }

  /** What the ranks of a new group must agree on. */
  static byte[] newId() {
    try (ncclUniqueId id = new ncclUniqueId()) {
      int status = nccl.ncclGetUniqueId(id);
      checkState(
          status == nccl.ncclSuccess, "ncclGetUniqueId: %s", nccl.ncclGetErrorString(status));
      byte[] bytes = new byte[nccl.NCCL_UNIQUE_ID_BYTES];
      id.internal().get(bytes);
      return bytes;
    }
  }

  /** As NCCL_CONFIG_INITIALIZER of nccl.h, but not blocking. */
  private static ncclConfig_t unblocking() {
    int unset = Integer.MIN_VALUE;
    ncclConfig_t config = new ncclConfig_t();
    return config
        .size(config.sizeof())
        .magic(nccl.NCCL_API_MAGIC)
        .version(nccl.NCCL_VERSION_CODE)
        .blocking(0)
        .cgaClusterSize(unset)
        .minCTAs(unset)
        .maxCTAs(unset)
        .netName(null)
        .splitShare(unset)
        .trafficClass(unset)
        .commName(null)
        .collnetEnable(unset)
        .CTAPolicy(unset)
        .shrinkShare(unset)
        .nvlsCTAs(unset)
        .nChannelsPerNetPeer(unset)
        .nvlinkCentricSched(unset)
        .graphUsageMode(unset)
        .numRmaCtx(unset);
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
    return comm;
  }

  Roster roster() {
    return roster;
  }

  boolean isAborted() {
    return aborted;
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
    await(status, what, Long.MAX_VALUE);
  }

  private void await(int status, String what, long limitNanos) {
    long start = System.nanoTime();
    int[] state = {status};
    for (int round = 0; state[0] == nccl.ncclInProgress; round++) {
      Failure failure = roster.failure();
      if (failure != null) {
        abort();
        throw new RankFailedException(failure.rank(), worldSize, failure.reason());
      }
      checkState(
          System.nanoTime() - start <= limitNanos,
          "%s did not end within %s s on rank %s of %s",
          what,
          limitNanos / 1_000_000_000,
          group.rank(),
          group.size());
      Idle.pause(round);
      int asked = nccl.ncclCommGetAsyncError(comm, state);
      state[0] = asked == nccl.ncclSuccess ? state[0] : asked;
    }
    checkState(
        state[0] == nccl.ncclSuccess,
        "%s failed on rank %s of %s: %s",
        what,
        group.rank(),
        group.size(),
        problem(state[0]));
  }

  /** Why NCCL cannot go on, or null. */
  @Nullable String asyncProblem() {
    int[] state = {nccl.ncclSuccess};
    nccl.ncclCommGetAsyncError(comm, state);
    boolean fine = state[0] == nccl.ncclSuccess || state[0] == nccl.ncclInProgress;
    return fine ? null : problem(state[0]);
  }

  private String problem(int status) {
    return nccl.ncclGetErrorString(status).getString()
        + " ("
        + nccl.ncclGetLastError(comm).getString()
        + ")";
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
    if (!aborted) {
      aborted = true;
      nccl.ncclCommAbort(comm);
    }
  }

  /** Ends it together with the other ranks; without them if they fail or take too long. */
  void close() {
    if (!aborted) {
      try {
        await(nccl.ncclCommFinalize(comm), "ncclCommFinalize", FINISH_NANOS);
        nccl.ncclCommDestroy(comm);
      } catch (RankFailedException | IllegalStateException e) {
        System.getLogger(NcclGroup.class.getName()).log(Level.WARNING, e.getMessage());
        abort();
      }
    }
    cudart.cudaStreamDestroy(stream);
    cudart.cudaStreamDestroy(copies);
  }
}
