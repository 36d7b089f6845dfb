package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.internal.Transport.Message;
import java.util.ArrayList;
import java.util.List;

/**
 * Messages as requests of MPI. After a call that failed, MPI is not called any more: what it does
 * with a request then is not defined, and a message that is not whole by then never is.
 */
final class MpiMessages {
  /** The most bytes of one MPI message, whose size is an int; a multiple of any element. */
  static final long CHUNK = 1 << 30;

  private final Roster roster;
  private final Calls calls;
  private boolean broken;

  /** What is asked of MPI. */
  interface Calls {
    /** Returns the request, or -1. */
    long send(long address, int bytes, int to, int tag);

    /** Returns the request, or -1. */
    long receive(long address, int bytes, int from, int tag);

    /** Returns 1 if the request has ended and is no more, 0 if not, -1 if it failed. */
    int test(long request);

    /** Why the last call failed. */
    String problem();
  }

  MpiMessages(Roster roster, Calls calls) {
    this.roster = roster;
    this.calls = calls;
  }

  Message send(long address, long bytes, int to, int tag) {
    return start(to, bytes, (at, n) -> calls.send(address + at, n, to, tag));
  }

  Message receive(long address, long bytes, int from, int tag) {
    return start(from, bytes, (at, n) -> calls.receive(address + at, n, from, tag));
  }

  @FunctionalInterface
  private interface Start {
    long request(long at, int bytes);
  }

  private Message start(int peer, long bytes, Start start) {
    Chunks chunks = new Chunks(peer);
    for (long at = 0; at < bytes; at += CHUNK) {
      if (broken || roster.failure() != null) {
        chunks.cut = true;
        break;
      }
      long request = start.request(at, (int) Math.min(CHUNK, bytes - at));
      if (request == -1) {
        fail(peer);
      } else {
        chunks.requests.add(request);
      }
    }
    return chunks;
  }

  private void fail(int peer) {
    broken = true;
    roster.failed(peer, calls.problem());
  }

  /** The requests of one message that was cut into chunks. */
  private final class Chunks implements Message {
    private final int peer;
    private final List<Long> requests = new ArrayList<>(1);
    private boolean cut;

    Chunks(int peer) {
      this.peer = peer;
    }

    @Override
    public boolean isDone() {
      requests.removeIf(this::hasEnded);
      return requests.isEmpty() && !cut && !broken;
    }

    private boolean hasEnded(long request) {
      if (broken) {
        return false;
      }
      int state = calls.test(request);
      if (state < 0) {
        fail(peer);
      }
      return state != 0;
    }
  }
}
