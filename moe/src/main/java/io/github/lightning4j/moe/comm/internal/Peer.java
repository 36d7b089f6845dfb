package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.internal.Notice.Kind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Consumer;

/** The connection to the process of one other rank; each notice is a record of fixed size. */
final class Peer {
  private static final int MAX_REASON = 1000;
  private static final int BYTES = 4 + 4 + 8 + 4 + MAX_REASON;

  private final int rank;
  private final SocketChannel channel;
  private final ByteBuffer in = ByteBuffer.allocate(BYTES);
  private volatile long lastHeard = System.nanoTime();

  Peer(int rank, SocketChannel channel) {
    this.rank = rank;
    this.channel = channel;
  }

  int rank() {
    return rank;
  }

  /** When something last came, in {@link System#nanoTime}. */
  long lastHeard() {
    return lastHeard;
  }

  /**
   * Sends a notice without waiting. Returns false if the connection is broken, or so full that the
   * other side has not read for long.
   */
  synchronized boolean send(Notice notice) {
    byte[] reason = notice.reason().getBytes(StandardCharsets.UTF_8);
    byte[] text = reason.length <= MAX_REASON ? reason : Arrays.copyOf(reason, MAX_REASON);
    ByteBuffer out = ByteBuffer.allocate(BYTES);
    out.putInt(notice.kind().ordinal()).putInt(notice.number()).putLong(notice.operations());
    out.putInt(text.length).put(text);
    try {
      return channel.write(out.position(BYTES).flip()) == BYTES;
    } catch (IOException e) {
      return false;
    }
  }

  /** Takes what has come; returns false if the connection has ended. */
  boolean receive(Consumer<Notice> consumer) {
    try {
      int read;
      while ((read = channel.read(in)) > 0) {
        lastHeard = System.nanoTime();
        if (!in.hasRemaining()) {
          consumer.accept(decode(in.flip()));
          in.clear();
        }
      }
      return read >= 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static Notice decode(ByteBuffer in) {
    Kind kind = Kind.values()[in.getInt()];
    int number = in.getInt();
    long operations = in.getLong();
    byte[] text = new byte[in.getInt()];
    in.get(text);
    return new Notice(kind, number, operations, new String(text, StandardCharsets.UTF_8));
  }

  void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // It is gone either way.
    }
  }
}
