package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/**
 * The native kernels. Work units are heads of sequences, and where these are fewer than the
 * threads, slices of their value columns, then segments of their tokens. No split changes a bit of
 * the result.
 */
final class CpuLightning implements LightningKernels {
  /** Multiply-adds below which one thread is faster than two. */
  private static final long GRAIN = 1 << 16;

  @Override
  public void prefill(PrefillCall call) {
    Split split = Split.of(call.sequences(), call.heads(), call.dk(), call.dv(), Threads.count());
    if (split.segments()) {
      new SegmentedPrefill(this, call, split).run();
    } else {
      prefill(call, split.slices());
    }
  }

  /** Runs sequences whole, each head in so many slices. */
  void prefill(PrefillCall c, int slices) {
    Fields fields =
        new Fields()
            .operand(c.q())
            .operand(c.k())
            .operand(c.v())
            .operand(c.out())
            .sizes(c.logDecay(), c.options(), c.heads(), c.dk(), c.dv())
            .address(c.initial())
            .address(c.last())
            .address(c.snapshots())
            .add(c.snapshotEvery())
            .add((long) slices)
            .add((long) c.sequences().size())
            .add(Split.SEGMENT);
    long[] call = fields.toArray();
    long[] sequences = Fields.of(c.sequences());
    long units = c.sequences().size() * c.heads() * slices;
    long work = 2 * Sequence.total(c.sequences()) * c.heads() * c.dk() * c.dv();
    Threads.forRanges(
        units,
        grain(units, work),
        (from, to) -> check(AttentionKernels.prefill(call, sequences, from, to), c.dk(), c.dv()));
    fields.release();
  }

  @Override
  public void decode(DecodeCall c) {
    long heads = c.q().size(1);
    long dk = c.q().size(2);
    long dv = c.v().size(2);
    Fields fields =
        new Fields()
            .operand(c.q())
            .operand(c.k())
            .operand(c.v())
            .operand(c.out())
            .sizes(c.logDecay(), c.options(), heads, dk, dv)
            .address(c.pool())
            .address(c.slots());
    long[] call = fields.toArray();
    long units = c.q().size(0) * heads;
    Recording.forRanges(
        units,
        grain(units, 2 * units * dk * dv),
        (from, to) -> {
          fields.ensureOpen();
          check(AttentionKernels.decode(call, from, to), dk, dv);
        });
    fields.release();
  }

  @Override
  public void backward(BackwardCall call) {
    long units = call.q().size(2) * call.sequences().size();
    if (units < Threads.count() && Sequence.longest(call.sequences()) > Split.SEGMENT) {
      new SegmentedBackward(this, call).run();
    } else {
      backwardWhole(call);
    }
  }

  /** Runs sequences whole. */
  void backwardWhole(BackwardCall c) {
    long heads = c.q().size(2);
    long dk = c.q().size(3);
    long dv = c.v().size(3);
    Fields fields =
        new Fields()
            .operand(c.q())
            .operand(c.k())
            .operand(c.v())
            .operand(c.dOut())
            .operand(c.outDq())
            .operand(c.outDk())
            .operand(c.outDv())
            .sizes(c.logDecay(), c.options(), heads, dk, dv)
            .address(c.initial())
            .address(c.outDInitial())
            .address(c.dLast())
            .address(c.outDLogDecay())
            .add((long) c.sequences().size())
            .add(Split.SEGMENT);
    long[] call = fields.toArray();
    long[] sequences = Fields.of(c.sequences());
    long units = heads * c.sequences().size();
    Threads.forRanges(
        units,
        grain(units, 6 * Sequence.total(c.sequences()) * heads * dk * dv),
        (from, to) -> check(AttentionKernels.backward(call, sequences, from, to), dk, dv));
    fields.release();
  }

  @Override
  public void combine(CombineCall c) {
    Tensor tokens = Tensor.of(c.tokens(), c.tokens().length);
    try (tokens) {
      long heads = c.local().size(2);
      long units = c.local().size(1) * heads;
      long size = c.local().size(3) * c.local().size(4);
      Fields fields =
          new Fields()
              .address(c.local())
              .address(tokens)
              .address(c.logDecay())
              .address(c.initial())
              .address(c.entering())
              .address(c.last())
              .add(c.local().size(0))
              .add(units)
              .add(heads)
              .add(size)
              .add(c.reverse() ? -1L : 1L);
      long[] call = fields.toArray();
      Threads.forRanges(
          units,
          grain(units, units * size * c.tokens().length),
          (from, to) -> AttentionKernels.combine(call, from, to));
      fields.release();
    }
  }

  /** Units worth handing out, of so many units with so many multiply-adds in all. */
  private static long grain(long units, long work) {
    return Math.max(1, units * GRAIN / Math.max(1, work));
  }

  private static void check(boolean done, long dk, long dv) {
    if (!done) {
      throw new OutOfNativeMemoryException(4 * dk * dv, Memory.liveBytes());
    }
  }
}
