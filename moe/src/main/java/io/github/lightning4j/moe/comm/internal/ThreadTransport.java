package io.github.lightning4j.moe.comm.internal;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Messages between threads of one JVM: whichever of sender and receiver comes second copies. Memory
 * of a rank that gave up is not touched: its messages leave the mailboxes under their locks.
 */
public final class ThreadTransport implements Transport {
  private final int rank;
  private final Mailbox[][] mailboxes;
  private final Roster[] rosters;

  private ThreadTransport(int rank, Mailbox[][] mailboxes, Roster[] rosters) {
    this.rank = rank;
    this.mailboxes = mailboxes;
    this.rosters = rosters;
  }

  /** The connected transports of a number of ranks. */
  public static List<ThreadTransport> connected(int size) {
    Mailbox[][] mailboxes = new Mailbox[size][size];
    Roster[] rosters = new Roster[size];
    for (int i = 0; i < size; i++) {
      rosters[i] = new Roster(size);
      for (int j = 0; j < size; j++) {
        mailboxes[i][j] = new Mailbox();
      }
    }
    return IntStream.range(0, size)
        .mapToObj(r -> new ThreadTransport(r, mailboxes, rosters))
        .toList();
  }

  /** A message posted by one side; the memory of that side. */
  private static final class Parcel implements Message {
    private final long address;
    private final long bytes;
    private volatile boolean done;

    Parcel(long address, long bytes) {
      this.address = address;
      this.bytes = bytes;
    }

    @Override
    public boolean isDone() {
      return done;
    }
  }

  /** What one rank has sent to another and the other wants, by tag. */
  private static final class Mailbox {
    private final Map<Integer, Deque<Parcel>> sent = new HashMap<>();
    private final Map<Integer, Deque<Parcel>> wanted = new HashMap<>();

    synchronized Parcel send(int tag, Parcel parcel) {
      Parcel receiver = first(wanted, tag);
      if (receiver == null) {
        sent.computeIfAbsent(tag, t -> new ArrayDeque<>()).add(parcel);
      } else {
        deliver(parcel, receiver);
      }
      return parcel;
    }

    synchronized Parcel receive(int tag, Parcel parcel) {
      Parcel sender = first(sent, tag);
      if (sender == null) {
        wanted.computeIfAbsent(tag, t -> new ArrayDeque<>()).add(parcel);
      } else {
        deliver(sender, parcel);
      }
      return parcel;
    }

    synchronized void forgetSent() {
      sent.clear();
    }

    synchronized void forgetWanted() {
      wanted.clear();
    }

    private static @Nullable Parcel first(Map<Integer, Deque<Parcel>> parcels, int tag) {
      Deque<Parcel> queue = parcels.get(tag);
      return queue == null ? null : queue.poll();
    }

    private static void deliver(Parcel from, Parcel to) {
      Exchange.copy(to.address, from.address, Math.min(from.bytes, to.bytes));
      from.done = true;
      to.done = true;
    }
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return rosters.length;
  }

  @Override
  public int maxTag() {
    return Integer.MAX_VALUE;
  }

  @Override
  public Roster roster() {
    return rosters[rank];
  }

  @Override
  public Message send(long address, long bytes, int to, int tag) {
    return mailboxes[rank][to].send(tag, new Parcel(address, bytes));
  }

  @Override
  public Message receive(long address, long bytes, int from, int tag) {
    return mailboxes[from][rank].receive(tag, new Parcel(address, bytes));
  }

  @Override
  public void announce(Notice notice) {
    for (int other = 0; other < rosters.length; other++) {
      if (other != rank) {
        rosters[other].apply(rank, notice);
      }
    }
  }

  @Override
  public void abandon() {
    for (int other = 0; other < rosters.length; other++) {
      mailboxes[rank][other].forgetSent();
      mailboxes[other][rank].forgetWanted();
    }
  }

  @Override
  public void close(Runnable poll) {
    // Nothing to end: what has ended was copied already.
  }
}
