package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/** Rows to exchange, whose values tell where they came from; numbers of rows differ by pair. */
final class Rows implements AutoCloseable {
  final long[] rowsTo;
  long[] rowsFrom;
  final Tensor send;
  Tensor out;
  private final Communicator world;
  private final int width;

  Rows(Communicator world, DType type, int width, int most) {
    this.world = world;
    this.width = width;
    rowsTo = counts(world.size(), world.rank(), most);
    rowsFrom = new long[world.size()];
    Arrays.setAll(rowsFrom, from -> counts(world.size(), from, most)[world.rank()]);
    send = Tensor.allocate(type, Arrays.stream(rowsTo).sum(), width);
    out = Tensor.allocate(type, Arrays.stream(rowsFrom).sum(), width);
    long at = 0;
    for (int to = 0; to < world.size(); to++) {
      for (long row = 0; row < rowsTo[to] * width; row++) {
        send.accessor().setLong(at++, value(world.rank(), to, row, type));
      }
    }
  }

  /** How many rows a rank sends to each, 0 to {@code most}. */
  static long[] counts(int size, int from, int most) {
    long[] counts = new long[size];
    Arrays.setAll(counts, to -> (from * 5L + to * 3L + 1) % (most + 1));
    return counts;
  }

  void expectOneMoreFrom(int from) {
    rowsFrom[from]++;
    DType type = out.dtype();
    out.close();
    out = Tensor.allocate(type, Arrays.stream(rowsFrom).sum(), width);
  }

  private static long value(int from, int to, long i, DType type) {
    long value = (from * 31L + to * 17L + i * 7L) % 127 + 1;
    return type == DType.BOOL ? value & 1 : value;
  }

  /** Whether everything has come, seen without asking the communicator. */
  boolean hasArrived() {
    return Arrays.equals(out.toLongs(), expected());
  }

  void assertArrived() {
    assertThat(out.toLongs()).isEqualTo(expected());
  }

  private long[] expected() {
    long[] expected = new long[(int) out.elements()];
    int at = 0;
    for (int from = 0; from < world.size(); from++) {
      for (long i = 0; i < rowsFrom[from] * width; i++) {
        expected[at++] = value(from, world.rank(), i, out.dtype());
      }
    }
    return expected;
  }

  @Override
  public void close() {
    send.close();
    out.close();
  }
}
