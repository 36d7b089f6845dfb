package io.github.lightning4j.moe.comm.internal;

import java.util.List;
import java.util.function.Function;

/**
 * Point-to-point messages between the ranks of a world. Messages between two ranks with one tag
 * arrive in the order in which they were sent, whatever their size. Called by one thread at a time,
 * but for {@link #announce}.
 */
public interface Transport {
  /** This rank. */
  int rank();

  /** How many ranks there are. */
  int size();

  /** Tags go from 0 to this. */
  int maxTag();

  /** What is known of the ranks; kept up to date by the transport. */
  Roster roster();

  /** Starts to send; the memory must stay as it is until {@link Message#isDone}. */
  Message send(long address, long bytes, int to, int tag);

  /** Starts to receive a message of at most this size. */
  Message receive(long address, long bytes, int from, int tag);

  /**
   * Makes ready for the payloads of a new communicator; called by all its ranks.
   *
   * @param texts gives a text to every rank of it and returns those of all
   */
  default void open(Group group, Function<String, List<String>> texts) {}

  /** Runs what starts all messages of one payload, which may end only all together. */
  default void together(Group group, Runnable starts) {
    starts.run();
  }

  /** Tells every other rank, besides all messages and at once. */
  void announce(Notice notice);

  /** Gives up everything under way: no memory is touched any more. */
  void abandon();

  /**
   * Ends the connection, after everything under way has ended or was abandoned. May wait for other
   * ranks.
   *
   * @param poll to be called while waiting
   */
  void close(Runnable poll);

  /** One send or receive under way. */
  interface Message {
    /** Whether it has ended; also drives it on. */
    boolean isDone();
  }
}
