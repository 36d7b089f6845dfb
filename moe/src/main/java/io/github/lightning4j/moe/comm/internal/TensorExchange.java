package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.comm.internal.Exchange.Payload;
import java.util.Arrays;

/**
 * The tensors of one operation, checked and taken apart.
 *
 * @param text the operation and what of its tensors must be the same on every rank
 * @param sends rows to each rank, or empty
 * @param expects rows from each rank, or empty
 * @param payload where they lie
 */
record TensorExchange(String text, long[] sends, long[] expects, Payload payload) {
  static TensorExchange allGather(Tensor in, Tensor out, int rank, int size) {
    checkPair("in", in, out);
    long[] shape = new long[in.rank() + 1];
    shape[0] = size;
    System.arraycopy(in.shape(), 0, shape, 1, in.rank());
    Checks.shape("out", out, shape);
    long bytes = bytes(in);
    long[] same = filled(size, bytes);
    long[] sendAddress = filled(size, in.address());
    Payload payload = new Payload(sendAddress, same, starts(out.address(), same), same);
    String text = "allGather " + in.dtype() + Arrays.toString(in.shape());
    return new TensorExchange(text, new long[0], new long[0], payload);
  }

  static TensorExchange allToAll(
      Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom, int size) {
    checkPair("send", send, out);
    checkRows("rowsTo", rowsTo, "send", send, size);
    checkRows("rowsFrom", rowsFrom, "out", out, size);
    long[] row = Arrays.copyOfRange(send.shape(), 1, send.rank());
    long[] outRow = Arrays.copyOfRange(out.shape(), 1, out.rank());
    checkArgument(
        Arrays.equals(row, outRow),
        "out: expected rows of shape %s as send has, got %s",
        Arrays.toString(row),
        Arrays.toString(outRow));
    long rowBytes = Arrays.stream(row).reduce(send.dtype().bytes(), (a, b) -> a * b);
    long[] sendBytes = Arrays.stream(rowsTo).map(n -> n * rowBytes).toArray();
    long[] outBytes = Arrays.stream(rowsFrom).map(n -> n * rowBytes).toArray();
    Payload payload =
        new Payload(
            starts(send.address(), sendBytes),
            sendBytes,
            starts(out.address(), outBytes),
            outBytes);
    String text = "allToAll " + send.dtype() + " rows of shape " + Arrays.toString(row);
    return new TensorExchange(text, rowsTo.clone(), rowsFrom.clone(), payload);
  }

  private static void checkPair(String name, Tensor in, Tensor out) {
    Checks.contiguous(name, in);
    Checks.contiguous("out", out);
    Checks.writable("out", out);
    Checks.dtype("out", out, in.dtype());
    Checks.sameDevice(name, in, "out", out);
    checkArgument(!Checks.overlap(in, out), "out: must not overlap %s, got %s", name, out);
  }

  /** One number of rows, 0 or more, for each rank. */
  static long[] counts(String name, long[] rows, int size) {
    checkArgument(
        rows.length == size,
        "%s: expected one count for each of %s ranks, got %s",
        name,
        size,
        rows.length);
    checkArgument(
        Arrays.stream(rows).allMatch(n -> n >= 0),
        "%s: expected counts >= 0, got %s",
        name,
        Arrays.toString(rows));
    return rows;
  }

  private static void checkRows(
      String name, long[] rows, String tensorName, Tensor tensor, int size) {
    checkArgument(tensor.rank() >= 1, "%s: expected rows, got shape %s", tensorName, tensor);
    counts(name, rows, size);
    long sum = Arrays.stream(rows).reduce(0, Math::addExact);
    checkArgument(
        sum == tensor.size(0),
        "%s: expected a sum of %s, the rows of %s, got %s",
        name,
        tensor.size(0),
        tensorName,
        sum);
  }

  static long bytes(Tensor tensor) {
    return tensor.elements() * tensor.dtype().bytes();
  }

  static long[] filled(int size, long value) {
    long[] values = new long[size];
    Arrays.fill(values, value);
    return values;
  }

  /** Where each of several pieces begins that lie one after the other. */
  static long[] starts(long address, long[] bytes) {
    long[] starts = new long[bytes.length];
    long next = address;
    for (int i = 0; i < bytes.length; i++) {
      starts[i] = next;
      next += bytes[i];
    }
    return starts;
  }
}
