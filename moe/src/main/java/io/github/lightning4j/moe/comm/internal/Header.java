package io.github.lightning4j.moe.comm.internal;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * What every rank tells every other before an operation moves data, so that all come to the same
 * verdict on whether their calls fit together.
 *
 * @param sequence how many operations came before on this communicator
 * @param refused whether the rank found its own arguments wrong; {@code value} says why
 * @param call the operation with all that must be the same on every rank
 * @param value what the operation compares or gathers; often empty
 * @param sends how many rows go to each rank, or other numbers that the operation gathers
 * @param expects how many rows are expected from each rank; empty if none are
 */
record Header(
    long sequence, boolean refused, String call, String value, long[] sends, long[] expects) {
  /** The longest text in UTF-8 bytes. */
  static final int MAX_TEXT = 1024;

  static long maxBytes(int size) {
    return 8 + 5 * 4 + 2L * MAX_TEXT + 16L * Math.max(size, 4);
  }

  /** Writes it and returns the size in bytes. */
  int write(ByteBuffer out) {
    byte[] callBytes = utf8(call);
    byte[] valueBytes = utf8(value);
    out.putLong(sequence).putInt(refused ? 1 : 0);
    out.putInt(callBytes.length).putInt(valueBytes.length);
    out.putInt(sends.length).putInt(expects.length);
    out.put(callBytes).put(valueBytes);
    Arrays.stream(sends).forEach(out::putLong);
    Arrays.stream(expects).forEach(out::putLong);
    return out.position();
  }

  static Header read(ByteBuffer in) {
    long sequence = in.getLong();
    boolean refused = in.getInt() != 0;
    int callLength = in.getInt();
    int valueLength = in.getInt();
    long[] sends = new long[in.getInt()];
    long[] expects = new long[in.getInt()];
    String call = text(in, callLength);
    String value = text(in, valueLength);
    Arrays.setAll(sends, i -> in.getLong());
    Arrays.setAll(expects, i -> in.getLong());
    return new Header(sequence, refused, call, value, sends, expects);
  }

  private static byte[] utf8(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return bytes.length <= MAX_TEXT ? bytes : Arrays.copyOf(bytes, MAX_TEXT);
  }

  private static String text(ByteBuffer in, int length) {
    byte[] bytes = new byte[length];
    in.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
