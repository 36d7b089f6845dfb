package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.javacpp.Pointer;

/**
 * Operations of NCCL on somebody's stream. Who waits for that stream waits inside the driver, where
 * nobody tells him of a rank that is gone; so a thread watches the ranks, and makes NCCL end what
 * is under way. NCCL's abort returns once all graphs that know the communicator are gone, so only
 * that thread waits for it.
 */
public final class NcclStream implements AutoCloseable {
  private static final long WATCH_MILLIS = 20;
  private static final long FINISH_SECONDS = 10;

  private final Communicator ranks;
  private final CudaStream stream;
  private final NcclComm comm;
  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread watch;
  private volatile boolean aborts;

  private NcclStream(Communicator ranks, CudaStream stream, NcclComm comm) {
    this.ranks = ranks;
    this.stream = stream;
    this.comm = comm;
    this.watch = new Thread(this::watch, "communicator-nccl-" + ranks.rank());
    watch.setDaemon(true);
    watch.start();
  }

  /** Joins, with all ranks, on the stream's device. */
  public static NcclStream join(Communicator ranks, CudaStream stream) {
    byte[] id = agree(ranks, ranks.rank() == 0 ? NcclComm.newId() : new byte[0]);
    stream.device().use();
    return new NcclStream(
        ranks, stream, NcclComm.join(ranks.rank(), ranks.size(), id, ranks::ensureHealthy));
  }

  /** The id that rank 0 has. */
  private static byte[] agree(Communicator ranks, byte[] own) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor mine = scope.allocate(DType.U8, nccl.NCCL_UNIQUE_ID_BYTES);
      Tensor all = scope.allocate(DType.U8, ranks.size(), nccl.NCCL_UNIQUE_ID_BYTES);
      mine.pointer().put(own, 0, own.length);
      ranks.allGather(mine, all);
      byte[] id = new byte[nccl.NCCL_UNIQUE_ID_BYTES];
      all.select(0, 0).pointer().get(id);
      return id;
    }
  }

  /** Puts the sum over ranks on the stream; F32, contiguous. */
  public void add(Tensor inOut) {
    Pointer at = at(inOut);
    put(
        "ncclAllReduce",
        () ->
            nccl.ncclAllReduce(
                at,
                at,
                inOut.elements(),
                nccl.ncclFloat32,
                nccl.ncclSum,
                comm.handle(),
                streamOfNccl()));
  }

  /** Puts a copy of what rank 0 has on the stream; F32, contiguous. */
  public void broadcast(Tensor inOut) {
    Pointer at = at(inOut);
    put(
        "ncclBroadcast",
        () ->
            nccl.ncclBroadcast(
                at, at, inOut.elements(), nccl.ncclFloat32, 0, comm.handle(), streamOfNccl()));
  }

  private static Pointer at(Tensor tensor) {
    return Memory.pointer(tensor.deviceAddress(), tensor.elements() * Float.BYTES);
  }

  private CUstream_st streamOfNccl() {
    return new CUstream_st(Memory.pointer(stream.address(), 0));
  }

  /** One of NCCL's functions. */
  private interface Call {
    int run();
  }

  private synchronized void put(String what, Call call) {
    ensureHealthy();
    stream.device().use();
    comm.await(call.run(), what);
  }

  /** Throws once a rank has failed: what came out of operations since is of no use. */
  public void ensureHealthy() {
    ranks.ensureHealthy();
    if (aborts) {
      throw new IllegalStateException("the sums of " + stream + " were given up");
    }
  }

  /** Makes all operations end that are on the stream, with anything. */
  public void abort() {
    aborts = true;
    watch.interrupt();
  }

  private void watch() {
    try {
      while (!ended.await(WATCH_MILLIS, TimeUnit.MILLISECONDS)) {
        ranks.ensureHealthy();
      }
    } catch (InterruptedException | RankFailedException e) {
      synchronized (this) {
        aborts = true;
      }
      comm.abort();
    }
  }

  /** Leaves, after the stream's work and graphs with operations of this have ended. */
  @Override
  public void close() {
    ended.countDown();
    boolean interrupted = Thread.interrupted();
    try {
      watch.join(TimeUnit.SECONDS.toMillis(FINISH_SECONDS));
    } catch (InterruptedException e) {
      interrupted = true;
    }
    synchronized (this) {
      if (!aborts) {
        stream.device().use();
        comm.close();
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
