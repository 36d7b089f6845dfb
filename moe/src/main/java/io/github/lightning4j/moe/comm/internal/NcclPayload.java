package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.moe.comm.internal.Transport.Message;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.cudaPointerAttributes;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.javacpp.Pointer;

/**
 * All sends and receives of one payload, as one group of NCCL. Host memory is copied to the GPU
 * before and from it after, once the group has ended, on a stream of its own: nothing may wait for
 * a rank that could be gone.
 */
final class NcclPayload implements Message {
  /** Where one piece starts in staging memory; a multiple of any element and of what DMA likes. */
  private static final long ALIGNMENT = 256;

  private record Piece(long address, long bytes, int peer, boolean out, long staged) {}

  private final NcclGroup group;
  private final int device;
  private final List<Piece> pieces = new ArrayList<>();
  private final Pointer staging = new Pointer();
  private final CUevent_st moved = new CUevent_st();
  private long stagedBytes;
  private boolean done;

  NcclPayload(NcclGroup group, int device) {
    this.group = group;
    this.device = device;
  }

  Message send(long address, long bytes, int to) {
    return add(address, bytes, to, true);
  }

  Message receive(long address, long bytes, int from) {
    return add(address, bytes, from, false);
  }

  private Message add(long address, long bytes, int world, boolean out) {
    long staged = -1;
    if (!isOnDevice(address, bytes)) {
      staged = stagedBytes;
      stagedBytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    pieces.add(new Piece(address, bytes, group.peer(world), out, staged));
    return this;
  }

  private static boolean isOnDevice(long address, long bytes) {
    try (cudaPointerAttributes attributes = new cudaPointerAttributes()) {
      NcclGroup.check(
          cudart.cudaPointerGetAttributes(attributes, Memory.pointer(address, bytes)),
          "cudaPointerGetAttributes");
      return attributes.type() == cudart.cudaMemoryTypeDevice;
    }
  }

  /** Hands all pieces to NCCL. */
  void start() {
    if (stagedBytes > 0) {
      NcclGroup.check(
          cudart.cudaMallocAsync(staging, stagedBytes, group.copies()),
          "cudaMallocAsync of " + stagedBytes + " bytes");
    }
    for (Piece piece : pieces) {
      if (piece.out && piece.staged >= 0) {
        copy(onDevice(piece), Memory.pointer(piece.address, piece.bytes), piece.bytes);
      }
    }
    synchronizeCopies();
    group.await(nccl.ncclGroupStart(), "ncclGroupStart");
    for (Piece piece : pieces) {
      Pointer at = onDevice(piece);
      int status =
          piece.out
              ? nccl.ncclSend(
                  at, piece.bytes, nccl.ncclInt8, piece.peer, group.comm(), group.stream())
              : nccl.ncclRecv(
                  at, piece.bytes, nccl.ncclInt8, piece.peer, group.comm(), group.stream());
      if (status != nccl.ncclInProgress) {
        group.await(status, piece.out ? "ncclSend" : "ncclRecv");
      }
    }
    group.await(nccl.ncclGroupEnd(), "ncclGroupEnd");
    NcclGroup.check(
        cudart.cudaEventCreateWithFlags(moved, cudart.cudaEventDisableTiming),
        "cudaEventCreateWithFlags");
    NcclGroup.check(cudart.cudaEventRecord(moved, group.stream()), "cudaEventRecord");
  }

  private Pointer onDevice(Piece piece) {
    long address = piece.staged < 0 ? piece.address : staging.address() + piece.staged;
    return Memory.pointer(address, piece.bytes);
  }

  private void copy(Pointer to, Pointer from, long bytes) {
    NcclGroup.check(
        cudart.cudaMemcpyAsync(to, from, bytes, cudart.cudaMemcpyDefault, group.copies()),
        "cudaMemcpyAsync");
  }

  private void synchronizeCopies() {
    NcclGroup.check(cudart.cudaStreamSynchronize(group.copies()), "cudaStreamSynchronize");
  }

  @Override
  public boolean isDone() {
    if (done || group.isAborted()) {
      return done;
    }
    NcclGroup.use(device);
    String problem = group.asyncProblem();
    if (problem != null) {
      group.roster().failed(group.worldRank(), "NCCL: " + problem);
      return false;
    }
    int status = cudart.cudaEventQuery(moved);
    if (status == cudart.cudaErrorNotReady) {
      return false;
    }
    NcclGroup.check(status, "cudaEventQuery");
    finish();
    return true;
  }

  private void finish() {
    for (Piece piece : pieces) {
      if (!piece.out && piece.staged >= 0) {
        copy(Memory.pointer(piece.address, piece.bytes), onDevice(piece), piece.bytes);
      }
    }
    if (stagedBytes > 0) {
      NcclGroup.check(cudart.cudaFreeAsync(staging, group.copies()), "cudaFreeAsync");
    }
    synchronizeCopies();
    cudart.cudaEventDestroy(moved);
    done = true;
  }
}
