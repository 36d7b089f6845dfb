package io.github.lightning4j.moe.comm;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.comm.internal.NcclStream;
import org.jspecify.annotations.Nullable;

/**
 * Sums over ranks that have a GPU each, as work on a stream, by NCCL:
 *
 * <pre>
 *   inOut = rank 0 + rank 1 + ... + rank n - 1      on every rank
 * </pre>
 *
 * <p>A call returns at once; the host waits for nothing and no data leaves the GPUs, so calls can
 * be part of a {@link io.github.lightning4j.core.cuda.CudaGraph}. All ranks put the same operations
 * on their streams, in the same order, with the same sizes: here nobody checks that, and ranks that
 * do otherwise wait for each other. The first operation of a size connects ranks: make it before
 * recording. Each rank sends and receives about {@code 2 bytes (n - 1) / n}.
 *
 * <p><b>Numerics.</b> F32, in an order that NCCL chooses by size and by how GPUs are connected: the
 * same on all runs of one machine, not that of {@link Communicator#allReduceSum}.
 *
 * <p><b>Failures.</b> The communicator is watched: once a rank has {@linkplain Communicator#fail
 * failed}, left by death, or somebody calls {@link #abort}, operations under way end with anything
 * in their tensors, so that whoever waits for the stream goes on; what waits for the stream asks
 * {@link #ensureHealthy} behind it. A world of one rank needs no NCCL and does nothing.
 */
public final class CudaRankSum implements AutoCloseable {
  private final Communicator ranks;
  private final CudaStream stream;
  private final @Nullable NcclStream nccl;
  private boolean closed;

  private CudaRankSum(Communicator ranks, CudaStream stream, @Nullable NcclStream nccl) {
    this.ranks = ranks;
    this.stream = stream;
    this.nccl = nccl;
  }

  /**
   * Connects the GPUs of all ranks; called by all of them. If it fails on one rank, it fails on
   * all.
   *
   * @param ranks tells who there is, and who has failed; stays open longer than this
   * @param stream on the GPU of this rank, where operations go
   * @throws IllegalStateException if NCCL is not available, with what is missing and how to get it,
   *     or does not connect: it refuses two ranks on one GPU
   * @throws RankFailedException if a rank fails meanwhile
   */
  public static CudaRankSum open(Communicator ranks, CudaStream stream) {
    if (ranks.size() == 1) {
      return new CudaRankSum(ranks, stream, null);
    }
    try {
      NcclCommunicator.availability().ensure("NCCL");
      return new CudaRankSum(ranks, stream, NcclStream.join(ranks, stream));
    } catch (IllegalStateException e) {
      ranks.fail(e);
      throw e;
    }
  }

  /** The ranks that add. */
  public Communicator ranks() {
    return ranks;
  }

  /**
   * Puts a sum on the stream.
   *
   * @param inOut F32, contiguous, on the stream's GPU; its part on every rank, then the sum
   * @throws IllegalArgumentException if it is of another type or elsewhere
   * @throws RankFailedException if a rank has failed
   */
  public void add(Tensor inOut) {
    check(inOut);
    if (nccl != null && inOut.elements() > 0) {
      nccl.add(inOut);
    }
  }

  /**
   * Puts a copy on the stream: all ranks get the bits that rank 0 has.
   *
   * @param inOut F32, contiguous, on the stream's GPU
   * @throws IllegalArgumentException as above
   * @throws RankFailedException as above
   */
  public void copyFromFirst(Tensor inOut) {
    check(inOut);
    if (nccl != null && inOut.elements() > 0) {
      nccl.broadcast(inOut);
    }
  }

  private void check(Tensor inOut) {
    checkState(!closed, "sums of %s are closed", stream);
    stream.check("inOut", inOut);
    Checks.dtype("inOut", inOut, DType.F32);
    Checks.contiguous("inOut", inOut);
  }

  /**
   * Tells whether what is on the stream can be trusted; to be asked after waiting for it.
   *
   * @throws RankFailedException if a rank has failed
   * @throws IllegalStateException if {@link #abort} was called
   */
  public void ensureHealthy() {
    if (nccl != null) {
      nccl.ensureHealthy();
    }
  }

  /** Gives up: operations under way end soon, with anything in their tensors. */
  public void abort() {
    if (nccl != null) {
      nccl.abort();
    }
  }

  /**
   * Leaves; graphs that hold operations of this are closed before.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "sums of %s are closed already", stream);
    closed = true;
    if (nccl != null) {
      nccl.close();
    }
  }
}
