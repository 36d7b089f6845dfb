package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.internal.Roster.Failure;
import java.io.IOException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The watch over the ranks of several processes: one TCP connection between any two, which the
 * kernel closes when a process dies, however it dies. A host that dies, or a process that is
 * stopped, closes nothing; so every rank also gives a sign of life every two seconds, and one that
 * is silent for {@value #SILENCE_PROPERTY} seconds (20 unless set) counts as failed. The same
 * connections carry notices: who closed what, who failed and why.
 */
final class Liveness implements AutoCloseable {
  /** The system property with the seconds of silence after which a rank counts as failed. */
  static final String SILENCE_PROPERTY = "lightning4j.comm.silence";

  /** Collects a text of every rank, waiting no longer than some nanoseconds. */
  @FunctionalInterface
  interface TextGather {
    List<String> gather(String text, long limitNanos);
  }

  private static final long SECOND = 1_000_000_000;
  private static final long START = 60 * SECOND;
  private static final long BEAT = 2 * SECOND;

  private final Roster roster;
  private final int rank;
  private final int size;
  private final long silence = Integer.getInteger(SILENCE_PROPERTY, 20) * SECOND;
  private final Selector selector;
  private final ServerSocketChannel listener;
  private final Meeting meeting;
  private final Map<Integer, Peer> peers = new ConcurrentHashMap<>();
  private volatile boolean complete;
  private volatile boolean closed;

  private Liveness(Roster roster, int rank, int size) throws IOException {
    this.roster = roster;
    this.rank = rank;
    this.size = size;
    this.selector = Selector.open();
    this.listener = ServerSocketChannel.open().bind(null);
    this.meeting = Meeting.at(listener);
  }

  /**
   * Connects all ranks.
   *
   * @throws RankFailedException if some rank cannot be reached within a minute
   */
  static Liveness connect(Roster roster, int rank, int size, TextGather texts) {
    Liveness liveness;
    try {
      liveness = new Liveness(roster, rank, size);
    } catch (IOException e) {
      throw new RankFailedException(rank, size, "cannot be watched over: " + e.getMessage());
    }
    try {
      liveness.meetAll(texts);
      return liveness;
    } catch (RuntimeException | Error e) {
      roster.failed(rank, e.toString());
      liveness.announce(Notice.failed(roster.firstFailure()));
      liveness.close();
      throw e;
    }
  }

  private void meetAll(TextGather texts) {
    List<String> meetings = texts.gather(meeting.text(), START);
    Thread watch = new Thread(this::watch, "communicator-liveness-" + rank);
    watch.setDaemon(true);
    watch.start();
    for (int other = 0; other < rank; other++) {
      visit(other, Meeting.of(meetings.get(other)));
    }
    awaitAll();
    complete = true;
    selector.wakeup();
  }

  private void visit(int other, Meeting where) {
    try {
      add(other, where.visit(rank));
    } catch (IOException e) {
      throw failure(other, e.getMessage());
    }
  }

  private RankFailedException failure(int other, String reason) {
    roster.failed(other, reason);
    Failure first = roster.firstFailure();
    return new RankFailedException(first.rank(), size, first.reason());
  }

  private void awaitAll() {
    long start = System.nanoTime();
    for (int round = 0; peers.size() < size - 1; round++) {
      Idle.pause(round);
      Failure failure = roster.failure();
      if (failure != null) {
        throw new RankFailedException(failure.rank(), size, failure.reason());
      }
      if (System.nanoTime() - start > START) {
        for (int other = 0; other < size; other++) {
          if (other != rank && !peers.containsKey(other)) {
            throw failure(other, "it did not connect within 60 s");
          }
        }
      }
    }
  }

  private void add(int other, SocketChannel channel) throws IOException {
    channel.configureBlocking(false);
    Peer peer = new Peer(other, channel);
    peers.put(other, peer);
    channel.register(selector, SelectionKey.OP_READ, peer);
    selector.wakeup();
  }

  /** Sends to all that still listen. */
  void announce(Notice notice) {
    for (Peer peer : peers.values()) {
      if (!peer.send(notice)) {
        lost(peer, "its connection broke");
      }
    }
  }

  private void watch() {
    long lastBeat = System.nanoTime();
    try {
      listener.configureBlocking(false);
      listener.register(selector, SelectionKey.OP_ACCEPT);
      while (!closed) {
        selector.select(500);
        if (closed) {
          break;
        }
        for (SelectionKey key : selector.selectedKeys()) {
          serve(key);
        }
        selector.selectedKeys().clear();
        if (System.nanoTime() - lastBeat > BEAT) {
          lastBeat = System.nanoTime();
          announce(Notice.SIGN_OF_LIFE);
        }
        findSilent();
        sendVisitorsAway();
      }
    } catch (IOException | RuntimeException e) {
      if (!closed) {
        roster.failed(rank, "its watch over the others ended: " + e);
      }
    }
  }

  private void serve(SelectionKey key) throws IOException {
    @Nullable Object who = key.attachment();
    if (who instanceof Peer peer) {
      if (!peer.receive(notice -> roster.apply(peer.rank(), notice))) {
        key.cancel();
        lost(peer, "its process ended without closing the communicator");
      }
    } else if (who instanceof Visitor visitor) {
      Integer other = visitor.hear(meeting);
      if (other != null) {
        add(other, visitor.channel());
      }
    } else {
      SocketChannel channel = listener.accept();
      if (channel != null) {
        channel.configureBlocking(false);
        channel.register(selector, SelectionKey.OP_READ, new Visitor(channel));
      }
    }
  }

  /** Ends waiting for strangers: when all ranks are there for all, before that for silent ones. */
  private void sendVisitorsAway() throws IOException {
    if (complete && listener.isOpen()) {
      listener.close();
    }
    sendAway(complete);
  }

  private void sendAway(boolean all) {
    for (SelectionKey key : selector.keys()) {
      if (key.attachment() instanceof Visitor visitor && (all || visitor.isLate())) {
        visitor.close();
      }
    }
  }

  private void findSilent() {
    for (Peer peer : peers.values()) {
      if (System.nanoTime() - peer.lastHeard() > silence) {
        lost(peer, "it gave no sign of life for " + silence / SECOND + " s");
      }
    }
  }

  /** A peer that cannot be heard any more; no fault if it had said goodbye. */
  private void lost(Peer peer, String reason) {
    peers.remove(peer.rank());
    peer.close();
    if (!closed && !roster.hasLeft(peer.rank())) {
      roster.failed(peer.rank(), reason);
    }
  }

  @Override
  public void close() {
    closed = true;
    peers.values().forEach(Peer::close);
    sendAway(true);
    try {
      listener.close();
      selector.close();
    } catch (IOException e) {
      System.getLogger(Liveness.class.getName())
          .log(System.Logger.Level.DEBUG, "a socket did not close", e);
    }
  }
}
