package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import java.nio.IntBuffer;

/**
 * The numbers a pass reads: a row's token and position, a sequence's slot, first position, the rows
 * that have logits, and where stretches begin. The host writes them to pinned memory, from where
 * one copy takes them to the GPU; both stay where they are, so that a recorded pass finds those of
 * the next step.
 */
final class StepInputs implements AutoCloseable {
  private final int capacity;
  private final Memory host;
  private final Memory device;
  private final IntBuffer values;

  /** Room for so many rows. */
  StepInputs(CudaStream stream, int capacity) {
    this.capacity = capacity;
    long bytes = Integer.BYTES * (8L * capacity + 1);
    this.host = CudaMemory.pinned(stream.device(), bytes);
    try {
      this.device = CudaMemory.allocate(stream.device(), bytes);
    } catch (RuntimeException | Error e) {
      host.close();
      throw e;
    }
    this.values = Memory.pointer(host.address(), bytes).asByteBuffer().asIntBuffer();
  }

  int capacity() {
    return capacity;
  }

  /** What is written next: a token and where it stands. */
  void row(int row, int id, long position) {
    values.put(row, id);
    values.put(capacity + row, Math.toIntExact(position));
  }

  /** What is written next: a sequence. */
  void sequence(int index, int slot, long start) {
    values.put(2 * capacity + index, slot);
    values.put(5 * capacity + 1 + index, Math.toIntExact(start));
  }

  /** What is written next: what a sequence sees as quantized. */
  void aging(int index, int ageingSlot, int agedLength) {
    values.put(6 * capacity + 1 + index, agedLength);
    values.put(7 * capacity + 1 + index, ageingSlot);
  }

  /** What is written next: a row that has logits. */
  void logitRow(int index, int row) {
    values.put(4 * capacity + 1 + index, row);
  }

  /** What is written next: the rows of a stretch, counted from the first row of all stretches. */
  void stretch(int index, int firstRow, int rows) {
    values.put(3 * capacity + index, firstRow);
    values.put(3 * capacity + index + 1, firstRow + rows);
  }

  /** Takes what was written to the GPU. */
  void send(CudaStream stream) {
    long count = 8L * capacity + 1;
    stream.copy(Tensor.view(host, 0, DType.I32, count), Tensor.view(device, 0, DType.I32, count));
  }

  /** Tokens {@code [R]}. */
  Tensor ids(long rows) {
    return at(0, rows);
  }

  /** Positions {@code [R]}. */
  Tensor positions(long first, long rows) {
    return at(capacity + first, rows);
  }

  /** As {@link Piece#agedLength}, {@code [S]}. */
  Tensor agedLengths(long first, long count) {
    return at(6L * capacity + 1 + first, count);
  }

  /** Slots of sequences whose tokens are quantized before they attend, -1 of others {@code [S]}. */
  Tensor ageingSlots(long first, long count) {
    return at(7L * capacity + 1 + first, count);
  }

  /** Slots of sequences {@code [S]}. */
  Tensor slots(long first, long count) {
    return at(2L * capacity + first, count);
  }

  /** First rows of stretches from one on, and the end of the last one, {@code [S + 1]}. */
  Tensor offsets(long first, long count) {
    return at(3L * capacity + first, count + 1);
  }

  /** The position of the first row of sequences {@code [S]}. */
  Tensor starts(long first, long count) {
    return at(5L * capacity + 1 + first, count);
  }

  /** The rows that have logits. */
  Tensor logitRows(long count) {
    return at(4L * capacity + 1, count);
  }

  private Tensor at(long first, long count) {
    return Tensor.view(device, Integer.BYTES * first, DType.I32, count);
  }

  @Override
  public void close() {
    device.close();
    host.close();
  }
}
