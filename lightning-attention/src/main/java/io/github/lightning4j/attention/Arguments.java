package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.BackwardCall;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What {@link LightningAttention} demands of its arguments. */
final class Arguments {
  private record Named(String name, Tensor tensor) {}

  private Arguments() {}

  static void prefill(Tensor q, Tensor k, Tensor v, Decay decay, Tensor state, Tensor out) {
    inputs(q, k, v, 4, decay);
    rows("out", out, q, v.shape());
    state("state", state, q, q.size(0), q.size(2), q.size(3), v.size(3));
    List<Named> inputs = named("q", q, "k", k, "v", v);
    apart(named("out", out, "state", state), inputs);
  }

  static void decode(
      Tensor q, Tensor k, Tensor v, Decay decay, Tensor statePool, Tensor slots, Tensor out) {
    inputs(q, k, v, 3, decay);
    rows("out", out, q, v.shape());
    Checks.rank("statePool", statePool, 4);
    state("statePool", statePool, q, statePool.size(0), q.size(1), q.size(2), v.size(2));
    Checks.dtype("slots", slots, DType.I32);
    Checks.shape("slots", slots, q.size(0));
    Checks.contiguous("slots", slots);
    Checks.sameDevice("slots", slots, "q", q);
    apart(named("out", out, "statePool", statePool), named("q", q, "k", k, "v", v, "slots", slots));
    slots(slots, statePool.size(0));
  }

  /** Checks all but {@code outDLogDecay}, which the caller of the facade sees in another form. */
  static void backward(BackwardCall c, Decay decay, @Nullable Tensor outDLogDecay) {
    Tensor q = c.q();
    Tensor v = c.v();
    inputs(q, c.k(), v, 4, decay);
    rows("dOut", c.dOut(), q, v.shape());
    rows("outDq", c.outDq(), q, q.shape());
    rows("outDk", c.outDk(), q, q.shape());
    rows("outDv", c.outDv(), q, v.shape());
    long[] shape = {q.size(0), q.size(2), q.size(3), v.size(3)};
    state("initialState", c.initialState(), q, shape);
    state("outDInitialState", c.outDInitialState(), q, shape);
    List<Named> inputs =
        named("q", q, "k", c.k(), "v", v, "initialState", c.initialState(), "dOut", c.dOut());
    if (c.dFinalState() != null) {
      state("dFinalState", c.dFinalState(), q, shape);
      inputs.add(new Named("dFinalState", c.dFinalState()));
    }
    List<Named> outputs = named("outDq", c.outDq(), "outDk", c.outDk(), "outDv", c.outDv());
    outputs.add(new Named("outDInitialState", c.outDInitialState()));
    if (outDLogDecay != null) {
      state("outDLogDecay", outDLogDecay, q, q.size(2));
      outputs.add(new Named("outDLogDecay", outDLogDecay));
    }
    apart(outputs, inputs);
  }

  private static void inputs(Tensor q, Tensor k, Tensor v, int rank, Decay decay) {
    Checks.rank("q", q, rank);
    rows("q", q, q, q.shape());
    rows("k", k, q, q.shape());
    Checks.rank("v", v, rank);
    long[] shape = q.shape();
    shape[rank - 1] = v.size(-1);
    rows("v", v, q, shape);
    checkArgument(q.size(-2) >= 1, "q: expected at least one head, got %s", q);
    checkArgument(q.size(-1) >= 1, "q: expected heads of at least one channel, got %s", q);
    checkArgument(v.size(-1) >= 1, "v: expected heads of at least one channel, got %s", v);
    checkArgument(
        decay.heads() == q.size(-2),
        "decay: expected %s heads as q has, got %s",
        q.size(-2),
        decay.heads());
  }

  private static void rows(String name, Tensor tensor, Tensor q, long... shape) {
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, shape);
    Checks.denseLast(name, tensor);
    Checks.sameDevice(name, tensor, "q", q);
  }

  private static void state(String name, Tensor tensor, Tensor q, long... shape) {
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, shape);
    Checks.contiguous(name, tensor);
    Checks.sameDevice(name, tensor, "q", q);
  }

  private static void slots(Tensor slots, long count) {
    Elements wanted = slots.accessor();
    BitSet taken = new BitSet();
    for (long b = 0; b < slots.size(0); b++) {
      long slot = wanted.getLong(b);
      checkArgument(
          slot >= -1 && slot < count,
          "slots[%s]: expected -1 <= slot < %s, got %s",
          b,
          count,
          slot);
      if (slot >= 0) {
        checkArgument(
            !taken.get((int) slot), "slots[%s]: slot %s is used by another row already", b, slot);
        taken.set((int) slot);
      }
    }
  }

  /** Outputs must be writable and share no element with an input or with one another. */
  private static void apart(List<Named> outputs, List<Named> inputs) {
    for (int i = 0; i < outputs.size(); i++) {
      Named out = outputs.get(i);
      Checks.writable(out.name(), out.tensor());
      List<Named> others = new ArrayList<>(inputs);
      others.addAll(outputs.subList(0, i));
      for (Named other : others) {
        checkArgument(
            !Overlap.possible(out.tensor(), other.tensor()),
            "%s: must not overlap %s; give it memory of its own",
            out.name(),
            other.name());
      }
    }
  }

  private static List<Named> named(Object... namesAndTensors) {
    List<Named> list = new ArrayList<>();
    for (int i = 0; i < namesAndTensors.length; i += 2) {
      list.add(new Named((String) namesAndTensors[i], (Tensor) namesAndTensors[i + 1]));
    }
    return list;
  }
}
