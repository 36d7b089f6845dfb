package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.moe.comm.internal.Transport.Message;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * One operation under way on one rank. First every rank sends its {@link Header} to every other;
 * when all have come, every rank reaches the same {@link Verdict}; only if the calls fit together
 * does the payload move. So ranks that disagree find out before a byte is written, and stay in
 * step.
 *
 * <p>Driven by {@link Progress}, under its lock.
 */
final class Exchange {
  private enum Phase {
    HEADERS,
    PAYLOAD,
    DONE
  }

  private record Pending(int rank, Message message) {}

  private final Group group;
  private final Header mine;
  private final @Nullable Payload payload;
  private final List<Header> headers = new ArrayList<>();
  private final List<Pending> pending = new ArrayList<>();
  private final long slot;
  private long buffer;
  private @Nullable String mismatch;
  private volatile Phase phase = Phase.HEADERS;

  /**
   * What moves between this rank and each other, in bytes; sizes are trusted, as the verdict has
   * compared them.
   */
  record Payload(long[] sendAddress, long[] sendBytes, long[] outAddress, long[] outBytes) {}

  Exchange(Group group, Header mine, @Nullable Payload payload) {
    this.group = group;
    this.mine = mine;
    this.payload = payload;
    this.slot = Header.maxBytes(group.size());
  }

  Group group() {
    return group;
  }

  long sequence() {
    return mine.sequence();
  }

  boolean isDone() {
    return phase == Phase.DONE;
  }

  /** Whether it is over when the headers have come. */
  boolean isBare() {
    return payload == null;
  }

  /** Whether a later operation of the same communicator may move its payload. */
  boolean hasMoved() {
    return phase != Phase.HEADERS;
  }

  /** Why nothing was moved, or null; to be read when done. */
  @Nullable String mismatch() {
    return mismatch;
  }

  /** The headers of all ranks; to be read when done. */
  List<Header> headers() {
    return headers;
  }

  /** A rank, by its number in the world, that has not yet answered. */
  int awaited() {
    return pending.isEmpty() ? group.ranks()[group.rank()] : pending.get(0).rank();
  }

  void start(Transport transport, HeaderBuffers buffers) {
    buffer = buffers.take(slot * group.size());
    int bytes = mine.write(at(group.rank()));
    for (int peer = 0; peer < group.size(); peer++) {
      if (peer != group.rank()) {
        int world = group.ranks()[peer];
        int tag = group.headerTag();
        add(world, transport.receive(buffer + peer * slot, slot, world, tag));
        add(world, transport.send(buffer + group.rank() * slot, bytes, world, tag));
      }
    }
  }

  /** Goes on as far as it can now. */
  void step(Transport transport, HeaderBuffers buffers, boolean mayMove) {
    pending.removeIf(p -> p.message().isDone());
    if (!pending.isEmpty()) {
      return;
    }
    if (phase == Phase.PAYLOAD) {
      phase = Phase.DONE;
    } else if (phase == Phase.HEADERS && mayMove) {
      for (int rank = 0; rank < group.size(); rank++) {
        headers.add(Header.read(at(rank)));
      }
      buffers.giveBack(buffer, slot * group.size());
      mismatch = Verdict.of(headers);
      if (mismatch == null && payload != null) {
        Payload moved = payload;
        transport.together(group, () -> move(transport, moved));
        phase = Phase.PAYLOAD;
      } else {
        phase = Phase.DONE;
      }
    }
  }

  private void move(Transport transport, Payload p) {
    for (int peer = 0; peer < group.size(); peer++) {
      int world = group.ranks()[peer];
      int tag = group.payloadTag();
      if (peer == group.rank()) {
        copy(p.outAddress()[peer], p.sendAddress()[peer], p.sendBytes()[peer]);
        continue;
      }
      if (p.outBytes()[peer] > 0) {
        add(world, transport.receive(p.outAddress()[peer], p.outBytes()[peer], world, tag));
      }
      if (p.sendBytes()[peer] > 0) {
        add(world, transport.send(p.sendAddress()[peer], p.sendBytes()[peer], world, tag));
      }
    }
  }

  static void copy(long to, long from, long bytes) {
    if (to != from && bytes > 0) {
      Pointer.memcpy(Memory.pointer(to, bytes), Memory.pointer(from, bytes), bytes);
    }
  }

  private void add(int world, Message message) {
    pending.add(new Pending(world, message));
  }

  private ByteBuffer at(int rank) {
    return Memory.pointer(buffer + rank * slot, slot).asByteBuffer().order(ByteOrder.nativeOrder());
  }
}
