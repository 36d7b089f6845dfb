package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.internal.GrowingBuffer;
import io.github.lightning4j.moe.internal.Scratch;
import java.util.List;

/** The buffers of one call of a parallel layer, kept for the next. */
final class Buffers implements AutoCloseable {
  final Scratch scratch = new Scratch();

  /** The rows that came, by expert. */
  final DispatchPlan plan = new DispatchPlan();

  /** Rows that leave; later, in the same places, what comes back for them. */
  final GrowingBuffer sent = new GrowingBuffer();

  /** Rows that arrive; later, in the same places, the answers. */
  final GrowingBuffer came = new GrowingBuffer();

  final GrowingBuffer pairs = new GrowingBuffer();
  final GrowingBuffer positions = new GrowingBuffer();
  final GrowingBuffer experts = new GrowingBuffer();
  final GrowingBuffer order = new GrowingBuffer();
  final GrowingBuffer countsTo = new GrowingBuffer();
  final GrowingBuffer countsFrom = new GrowingBuffer();

  /** Weights of pairs, once for each ETP rank. */
  final GrowingBuffer shares = new GrowingBuffer();

  final GrowingBuffer sentShares = new GrowingBuffer();
  final GrowingBuffer cameShares = new GrowingBuffer();
  final GrowingBuffer sentGradients = new GrowingBuffer();
  final GrowingBuffer cameGradients = new GrowingBuffer();
  final GrowingBuffer gradients = new GrowingBuffer();
  final GrowingBuffer shareGradients = new GrowingBuffer();

  private final List<GrowingBuffer> all =
      List.of(
          sent,
          came,
          pairs,
          positions,
          experts,
          order,
          countsTo,
          countsFrom,
          shares,
          sentShares,
          cameShares,
          sentGradients,
          cameGradients,
          gradients,
          shareGradients);

  /** A tensor of whole numbers. */
  static Tensor ints(GrowingBuffer memory, int[] values, long... shape) {
    return memory.fill(buffer -> buffer.put(values), shape);
  }

  long bytes() {
    return scratch.bytes() + all.stream().mapToLong(GrowingBuffer::bytes).sum();
  }

  @Override
  public void close() {
    scratch.close();
    all.forEach(GrowingBuffer::close);
  }
}
