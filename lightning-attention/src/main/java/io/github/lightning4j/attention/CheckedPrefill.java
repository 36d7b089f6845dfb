package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.PrefillCall;
import io.github.lightning4j.attention.internal.Sequence;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A {@link Prefill} whose arguments have been checked, as sequences over states. */
final class CheckedPrefill {
  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final Prefill p;
  private final long @Nullable [] starts;
  private final long[] slots;

  /** Those to run, and those that slot -1 skips. */
  final List<Sequence> sequences = new ArrayList<>();

  final List<Sequence> skipped = new ArrayList<>();

  /**
   * Checks everything but what is written.
   *
   * @param doubles whether F64 is taken
   */
  CheckedPrefill(Prefill p, boolean doubles) {
    this.p = p;
    Arguments.inputs(p.q, p.k, p.v, 4, p.decay, doubles);
    checkArgument(
        p.offsets == null || p.q.size(0) == 1,
        "q: expected one row of packed sequences, got %s rows",
        p.q.size(0));
    starts = p.offsets == null ? null : Arguments.offsets(p.offsets, p.q.size(1), p.q);
    long count = starts == null ? p.q.size(0) : starts.length - 1;
    long wanted = p.slots == null ? count : -1;
    long entries = p.slots == null ? count : Long.MAX_VALUE;
    if (p.initialState != null) {
      String name = p.initialState == p.finalState ? "state" : p.initialName;
      Arguments.states(name, p.initialState, p.k, p.v, wanted);
      entries = Math.min(entries, p.initialState.size(0));
    }
    if (p.finalState != null && p.finalState != p.initialState) {
      Arguments.states("finalState", p.finalState, p.k, p.v, wanted);
      entries = Math.min(entries, p.finalState.size(0));
    }
    checkArgument(
        p.slots == null || entries != Long.MAX_VALUE,
        "slots: nothing to index; give an initial or final state");
    slots = Arguments.slots(p.slots, count, entries, p.q);
    addSequences((int) count);
  }

  private void addSequences(int count) {
    checkArgument(
        p.positions.length == 0 || p.positions.length == count,
        "startPositions: expected one for each of %s sequences, got %s",
        count,
        p.positions.length);
    long snapshot = 0;
    for (int i = 0; i < count; i++) {
      long row = starts == null ? i : 0;
      long first = starts == null ? 0 : starts[i];
      long tokens = starts == null ? p.q.size(1) : starts[i + 1] - first;
      Sequence sequence = new Sequence(row, first, tokens, slots[i], slots[i]);
      if (p.snapshots != null) {
        long position = p.positions.length == 0 ? 0 : p.positions[i];
        checkArgument(
            position >= 0, "startPositions[%s]: expected at least 0, got %s", i, position);
        long until = p.snapshotEvery - position % p.snapshotEvery;
        sequence = new Sequence(row, first, tokens, slots[i], slots[i], until, snapshot);
        snapshot += Prefill.snapshotCount(position, tokens, p.snapshotEvery);
      }
      (slots[i] < 0 ? skipped : sequences).add(sequence);
    }
    if (p.snapshots != null) {
      Arguments.states("outStates of snapshots", p.snapshots, p.k, p.v, snapshot);
    }
  }

  /** Checks the outputs too. */
  PrefillCall forward() {
    Tensor q = p.q;
    checkArgument(p.out != null, "out: expected a tensor, got a pass without outputs");
    Arguments.outputRows("out", p.out, q, p.v.shape());
    Apartness apart =
        new Apartness()
            .input("q", q)
            .input("k", p.k)
            .input("v", p.v)
            .input("offsets", p.offsets)
            .input("slots", p.slots)
            .output("out", p.out);
    boolean inPlace = sameMemory(p.initialState, p.finalState);
    apart
        .input(p.initialName, inPlace ? null : p.initialState)
        .output(inPlace ? "state" : "finalState", p.finalState)
        .output("outStates of snapshots", p.snapshots);
    if (p.norm != null) {
      checkNorm(p.norm);
      apart.input("weight", p.norm.weight()).input("gate", p.norm.gate());
    }
    apart.check();
    return new PrefillCall(
        q,
        p.k,
        p.v,
        p.out,
        p.decay.tensor(),
        p.options,
        p.initialState,
        p.finalState,
        p.snapshots,
        p.snapshotEvery,
        sequences);
  }

  static boolean sameMemory(@Nullable Tensor a, @Nullable Tensor b) {
    return a != null && b != null && a.address() == b.address();
  }

  private void checkNorm(OutputNorm norm) {
    long width = p.v.size(2) * p.v.size(3);
    norm(norm, p.q, width);
    checkArgument(
        p.out.size(2) == 1 || p.out.stride(2) == p.out.size(3),
        "out: expected heads side by side for the norm, got %s",
        p.out);
    if (norm.gate() != null) {
      Arguments.outputRows("gate", norm.gate(), p.q, p.q.size(0), p.q.size(1), width);
    }
  }

  /** What a norm demands but for its gate's shape. */
  static void norm(OutputNorm norm, Tensor q, long width) {
    Tensor weight = norm.weight();
    if (q.dtype() != DType.F64 || weight.dtype() != DType.F64) {
      Checks.dtype("weight", weight, WEIGHTS);
    }
    Checks.shape("weight", weight, width);
    Checks.contiguous("weight", weight);
    Checks.sameDevice("weight", weight, "q", q);
  }
}
