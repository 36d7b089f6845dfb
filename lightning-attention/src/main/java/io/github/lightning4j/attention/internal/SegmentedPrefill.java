package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A prefill whose sequences are run segment by segment, all segments at once: the states they make
 * on their own, then the states that enter them, then their outputs. So many segments are under way
 * that all threads have work; memory does not grow with the sequence.
 */
final class SegmentedPrefill {
  private final CpuLightning kernels;
  private final PrefillCall call;
  private final int slices;

  SegmentedPrefill(CpuLightning kernels, PrefillCall call, Split split) {
    this.kernels = kernels;
    this.call = call;
    this.slices = split.slices();
  }

  void run() {
    List<Sequence> brief =
        call.sequences().stream().filter(s -> s.tokens() <= Split.SEGMENT).toList();
    kernels.prefill(call.over(brief, call.initial(), call.last()), slices);
    for (Sequence sequence : call.sequences()) {
      if (sequence.tokens() > Split.SEGMENT) {
        run(sequence);
      }
    }
  }

  private void run(Sequence sequence) {
    long segments = (sequence.tokens() + Split.SEGMENT - 1) / Split.SEGMENT;
    long together = Math.min(segments, 4L * Threads.count());
    long[] shape = {1, call.heads(), call.dk(), call.dv()};
    try (MemoryScope scope = new MemoryScope()) {
      Tensor local = scope.allocate(DType.F32, together, shape[1], shape[2], shape[3]);
      Tensor entering = scope.allocate(DType.F32, together, shape[1], shape[2], shape[3]);
      Tensor passed = scope.allocate(DType.F32, shape);
      Tensor initial = null;
      if (call.initial() != null && sequence.initial() >= 0) {
        initial = scope.allocate(DType.F32, shape);
        initial.copyFrom(call.initial().narrow(0, sequence.initial(), 1));
      }
      for (long first = 0; first < segments; first += together) {
        long count = Math.min(together, segments - first);
        wave(sequence, first, count, initial, local, entering, passed);
        if (initial == null) {
          initial = scope.allocate(DType.F32, shape);
        }
        initial.copyFrom(passed);
      }
      if (call.last() != null && sequence.last() >= 0) {
        call.last().narrow(0, sequence.last(), 1).copyFrom(passed);
      }
    }
  }

  /** Segments {@code first} to {@code first + count}; {@code passed} is what leaves the last. */
  private void wave(
      Sequence sequence,
      long first,
      long count,
      @Nullable Tensor initial,
      Tensor local,
      Tensor entering,
      Tensor passed) {
    List<Sequence> alone = new ArrayList<>();
    List<Sequence> entered = new ArrayList<>();
    long[] tokens = new long[(int) count];
    for (int i = 0; i < count; i++) {
      long offset = (first + i) * Split.SEGMENT;
      tokens[i] = Math.min(Split.SEGMENT, sequence.tokens() - offset);
      alone.add(sequence.part(offset, tokens[i], -1, i, call.snapshotEvery()));
      long from = i == 0 && initial == null ? -1 : i;
      entered.add(sequence.part(offset, tokens[i], from, -1, call.snapshotEvery()));
    }
    kernels.prefill(call.statesOnly().over(alone, null, local), slices);
    kernels.combine(
        new CombineCall(
            stacked(local.narrow(0, 0, count)),
            tokens,
            call.logDecay(),
            initial,
            stacked(entering.narrow(0, 0, count)),
            passed,
            false));
    if (call.out() != null || call.snapshots() != null) {
      kernels.prefill(call.over(entered, entering, null), slices);
    }
  }

  /** {@code [R, H, Dk, Dv]} as {@code [R, 1, H, Dk, Dv]}. */
  static Tensor stacked(Tensor states) {
    return states.reshape(states.size(0), 1, states.size(1), states.size(2), states.size(3));
  }
}
