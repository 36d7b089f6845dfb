package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.moe.comm.RankFailedException;
import java.lang.System.Logger.Level;
import java.util.concurrent.atomic.AtomicBoolean;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.cuda.nccl.ncclComm;
import org.bytedeco.cuda.nccl.ncclConfig_t;
import org.bytedeco.cuda.nccl.ncclUniqueId;
import org.jspecify.annotations.Nullable;

/**
 * A communicator of NCCL, which is asked never to block, so that waiting for a rank that is gone
 * ends when somebody says so.
 */
final class NcclComm {
  private static final long FINISH_NANOS = 10_000_000_000L;

  private final int rank;
  private final int size;
  private final Runnable health;
  private final ncclComm comm = new ncclComm();
  private final AtomicBoolean aborted = new AtomicBoolean();

  private NcclComm(int rank, int size, Runnable health) {
    this.rank = rank;
    this.size = size;
    this.health = health;
  }

  /**
   * Joins, with all ranks, on the device in use.
   *
   * @param id from {@link #newId} of one rank
   * @param health throws {@link RankFailedException} once a rank is known to have failed
   */
  static NcclComm join(int rank, int size, byte[] id, Runnable health) {
    NcclComm joined = new NcclComm(rank, size, health);
    try (ncclUniqueId agreed = new ncclUniqueId();
        ncclConfig_t config = unblocking()) {
      agreed.internal().put(id);
      joined.await(
          nccl.ncclCommInitRankConfig(joined.comm, size, agreed, rank, config),
          "ncclCommInitRankConfig");
      return joined;
    } catch (RankFailedException | IllegalStateException e) {
      joined.abort();
      throw e;
    }
  }

  /** What the ranks of a new communicator must agree on. */
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

  ncclComm handle() {
    return comm;
  }

  boolean isAborted() {
    return aborted.get();
  }

  /**
   * Waits until NCCL has taken what it was told.
   *
   * @throws RankFailedException if a rank fails meanwhile; to abort is left to the caller
   */
  void await(int status, String what) {
    await(status, what, Long.MAX_VALUE);
  }

  private void await(int status, String what, long limitNanos) {
    long start = System.nanoTime();
    int[] state = {status};
    for (int round = 0; state[0] == nccl.ncclInProgress; round++) {
      health.run();
      checkState(
          System.nanoTime() - start <= limitNanos,
          "%s did not end within %s s on rank %s of %s",
          what,
          limitNanos / 1_000_000_000,
          rank,
          size);
      Idle.pause(round);
      int asked = nccl.ncclCommGetAsyncError(comm, state);
      state[0] = asked == nccl.ncclSuccess ? state[0] : asked;
    }
    checkState(
        state[0] == nccl.ncclSuccess,
        "%s failed on rank %s of %s: %s",
        what,
        rank,
        size,
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

  /** Ends everything under way; waits until graphs that know it are gone. */
  void abort() {
    if (aborted.compareAndSet(false, true) && !comm.isNull()) {
      nccl.ncclCommAbort(comm);
    }
  }

  /** Ends it together with the other ranks; without them if they fail or take too long. */
  void close() {
    if (!isAborted()) {
      try {
        await(nccl.ncclCommFinalize(comm), "ncclCommFinalize", FINISH_NANOS);
        nccl.ncclCommDestroy(comm);
      } catch (RankFailedException | IllegalStateException e) {
        System.getLogger(NcclComm.class.getName()).log(Level.WARNING, e.getMessage());
        abort();
      }
    }
  }
}
