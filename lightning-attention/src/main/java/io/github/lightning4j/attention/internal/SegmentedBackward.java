package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A backward pass with fewer heads than threads: long sequences are run segment by segment, all
 * segments at once, after states have been passed forward and adjoints backward through them. Three
 * states a segment are kept, a fraction of the inputs.
 */
final class SegmentedBackward {
  private final CpuLightning kernels;
  private final BackwardCall call;
  private final long[] shape;

  SegmentedBackward(CpuLightning kernels, BackwardCall call) {
    this.kernels = kernels;
    this.call = call;
    this.shape = new long[] {1, call.q().size(2), call.q().size(3), call.v().size(3)};
  }

  void run() {
    for (int i = 0; i < call.sequences().size(); i++) {
      Sequence sequence = call.sequences().get(i);
      Tensor parts = call.outDLogDecay() == null ? null : call.outDLogDecay().narrow(0, i, 1);
      if (sequence.tokens() <= Split.SEGMENT) {
        kernels.backwardWhole(
            call.over(List.of(sequence), call.initial(), call.dLast(), call.outDInitial(), parts));
      } else {
        run(sequence, parts);
      }
    }
  }

  private void run(Sequence sequence, @Nullable Tensor outDLogDecay) {
    int count = (int) ((sequence.tokens() + Split.SEGMENT - 1) / Split.SEGMENT);
    long[] tokens = new long[count];
    List<Sequence> alone = new ArrayList<>();
    List<Sequence> joined = new ArrayList<>();
    Tensor initial = entry(call.initial(), sequence.initial());
    Tensor dLast = entry(call.dLast(), sequence.last());
    for (int i = 0; i < count; i++) {
      long offset = i * Split.SEGMENT;
      long first = sequence.first() + offset;
      tokens[i] = Math.min(Split.SEGMENT, sequence.tokens() - offset);
      alone.add(new Sequence(sequence.row(), first, tokens[i], i, i));
      // Zeros that nobody gave are not multiplied by: infinity times them would be NaN.
      long from = i == 0 && initial == null ? -1 : i;
      long to = i == count - 1 && dLast == null ? -1 : i;
      joined.add(new Sequence(sequence.row(), first, tokens[i], from, to));
    }
    try (MemoryScope scope = new MemoryScope()) {
      Tensor local = states(scope, count);
      Tensor leaving = states(scope, count);
      kernels.backwardWhole(call.statesOnly().over(alone, null, null, local, null));
      combine(local, tokens, dLast, leaving, entry(call.outDInitial(), sequence.initial()), true);
      if (call.outDq() == null && call.outDk() == null) {
        return;
      }
      Tensor entering = states(scope, count);
      kernels.prefill(call.states(alone, local), 1);
      combine(local, tokens, initial, entering, null, false);
      Tensor logs = outDLogDecay == null ? null : scope.allocate(DType.F64, count, shape[1]);
      kernels.backwardWhole(call.over(joined, entering, leaving, null, logs));
      if (logs != null) {
        addFromLast(logs, outDLogDecay);
      }
    }
  }

  private Tensor states(MemoryScope scope, long count) {
    return scope.allocate(DType.F32, count, shape[1], shape[2], shape[3]);
  }

  private static @Nullable Tensor entry(@Nullable Tensor pool, long index) {
    return pool == null || index < 0 ? null : pool.narrow(0, index, 1);
  }

  private void combine(
      Tensor local,
      long[] tokens,
      @Nullable Tensor initial,
      Tensor entering,
      @Nullable Tensor last,
      boolean reverse) {
    kernels.combine(
        new CombineCall(
            SegmentedPrefill.stacked(local),
            tokens,
            call.logDecay(),
            initial,
            SegmentedPrefill.stacked(entering),
            last,
            reverse));
  }

  /** In the order in which one thread would come by the segments. */
  private static void addFromLast(Tensor logs, Tensor out) {
    Elements from = logs.accessor();
    Elements to = out.accessor();
    for (long h = 0; h < logs.size(1); h++) {
      double sum = 0;
      for (long i = logs.size(0) - 1; i >= 0; i--) {
        sum += from.get(i * logs.size(1) + h);
      }
      to.set(h, sum);
    }
  }
}
