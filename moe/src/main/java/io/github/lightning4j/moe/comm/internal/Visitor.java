package io.github.lightning4j.moe.comm.internal;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import org.jspecify.annotations.Nullable;

/**
 * A connection whose other side has not yet said who it is: a rank, or a stranger that may stay
 * silent. Nothing here waits.
 */
final class Visitor {
  private static final long PATIENCE = 5_000_000_000L;

  private final SocketChannel channel;
  private final ByteBuffer hello = ByteBuffer.allocate(Meeting.HELLO);
  private final long came = System.nanoTime();

  Visitor(SocketChannel channel) {
    this.channel = channel;
  }

  SocketChannel channel() {
    return channel;
  }

  /** Whether it was silent for too long. */
  boolean isLate() {
    return System.nanoTime() - came > PATIENCE;
  }

  /**
   * Takes what has come. Returns the rank once it has said the word; closes itself if it has hung
   * up or said something else.
   */
  @Nullable Integer hear(Meeting meeting) {
    try {
      int read = channel.read(hello);
      if (hello.hasRemaining()) {
        if (read < 0) {
          close();
        }
        return null;
      }
      Integer rank = meeting.greet(channel, hello.flip());
      if (rank == null) {
        close();
      }
      return rank;
    } catch (IOException e) {
      close();
      return null;
    }
  }

  void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // It is gone either way.
    }
  }
}
