package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every bad argument of a {@link Prefill} is refused by name, before anything is written. */
final class PrefillArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor q = f32(1, 10, 2, 4);
  private final Tensor k = f32(1, 10, 2, 4);
  private final Tensor v = f32(1, 10, 2, 6);
  private final Tensor out = f32(1, 10, 2, 6);
  private final Tensor state = f32(1, 2, 4, 6);
  private final Tensor pool = f32(3, 2, 4, 6);
  private final Decay decay = Decay.ofSlopes(new double[] {0.1, 0.2});

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor f32(long... shape) {
    return scope.allocate(DType.F32, shape);
  }

  private Tensor of(DType type, long... shape) {
    return scope.allocate(type, shape);
  }

  private Tensor ints(int... values) {
    return scope.add(Tensor.of(values, values.length));
  }

  private Prefill pass() {
    return pass(q, out);
  }

  private Prefill pass(Tensor queries, Tensor to) {
    return new Prefill(queries, k, v, decay, Options.DEFAULT, to);
  }

  /** Two rows of ten tokens. */
  private Prefill rows(Tensor to) {
    Tensor keys = f32(2, 10, 2, 4);
    return new Prefill(keys, keys, f32(2, 10, 2, 6), decay, Options.DEFAULT, to);
  }

  private static void refused(Prefill pass, String message) {
    assertThatThrownBy(() -> LightningAttention.best().prefill(pass))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  private static void misused(Prefill pass) {
    assertThatThrownBy(() -> LightningAttention.best().prefill(pass))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void mixedTypes() {
    Tensor q16 = of(DType.BF16, 1, 10, 2, 4);
    Tensor k16 = of(DType.BF16, 1, 10, 2, 4);
    Tensor v16 = of(DType.BF16, 1, 10, 2, 6);
    Tensor half = of(DType.F16, 1, 10, 2, 6);
    Options options = Options.DEFAULT;
    refused(new Prefill(q, k16, v, decay, options, out), "k: expected dtype F32, got BF16");
    refused(new Prefill(q16, k16, half, decay, options, out), "v: expected dtype BF16, got F16");
    refused(
        new Prefill(q16, k16, v16, decay, options, half),
        "out: expected dtype BF16 or F32, got F16");
    refused(pass(q, half), "out: expected dtype F32, got F16");
    refused(
        new Prefill(q16, k16, v16, decay, options, out).state(of(DType.BF16, 1, 2, 4, 6)),
        "state: expected dtype F32, got BF16");
    refused(pass(of(DType.I32, 1, 10, 2, 4), out), "q: expected dtype in [F32, ");
  }

  @Test
  void offsets() {
    refused(pass().packed(ints(1, 10)), "offsets[0]: expected 0, got 1");
    refused(
        pass().packed(ints(0, 6, 5, 10)), "offsets[2]: expected at least 6, the one before, got 5");
    refused(pass().packed(ints(0, 9)), "offsets: expected to end at the 10 tokens of q, got 9");
    refused(pass().packed(ints(0, 11)), "offsets: expected to end at the 10 tokens of q, got 11");
    refused(pass().packed(ints()), "offsets: expected at least one entry");
    refused(pass().packed(f32(2)), "offsets: expected dtype in [I64, I32], got F32");
    refused(pass().packed(of(DType.I32, 1, 2)), "offsets: expected 1 dimensions");
    Tensor gaps = ints(0, 0, 10, 0).strided(0, new long[] {2}, new long[] {2});
    refused(pass().packed(gaps), "offsets: expected a contiguous tensor");
    refused(
        rows(f32(2, 10, 2, 6)).packed(ints(0, 10)),
        "q: expected one row of packed sequences, got 2 rows");
  }

  @Test
  void statesOfOtherSequences() {
    Tensor offsets = ints(0, 4, 10);
    refused(pass().initialState(pool), "initialState: expected shape [1, 2, 4, 6], got [3, 2");
    refused(pass().packed(offsets).initialState(pool), "initialState: expected shape [2, 2, 4, 6]");
    refused(pass().packed(offsets).finalState(pool), "finalState: expected shape [2, 2, 4, 6]");
    refused(pass().packed(offsets).state(pool), "state: expected shape [2, 2, 4, 6]");
    Prefill slotted = pass().packed(offsets).slots(ints(0, 1));
    refused(slotted.state(f32(3, 2, 6, 4)), "state: expected shape [3, 2, 4, 6], got [3, 2, 6, 4]");
  }

  @Test
  void slots() {
    Tensor offsets = ints(0, 4, 10);
    refused(
        pass().packed(offsets).slots(ints(0, 1)),
        "slots: nothing to index; give an initial or final state");
    Prefill pooled = pass().packed(offsets).state(pool);
    refused(pooled.slots(ints(0, 3)), "slots[1]: expected -1 <= slot < 3, got 3");
    refused(pooled.slots(ints(-2, 0)), "slots[0]: expected -1 <= slot < 3, got -2");
    refused(pooled.slots(ints(2, 2)), "slots[1]: slot 2 is used by another row already");
    refused(pooled.slots(ints(2)), "slots: expected shape [2], got [1]");
    refused(pooled.slots(of(DType.I64, 2)), "slots: expected dtype I32, got I64");
    refused(
        pooled.finalState(f32(2, 2, 4, 6)).slots(ints(0, 2)),
        "slots[1]: expected -1 <= slot < 2, got 2");
  }

  @Test
  void snapshots() {
    String name = "outStates of snapshots: ";
    refused(pass().snapshots(4, f32(3, 2, 4, 6)), name + "expected shape [2, 2, 4, 6], got [3, ");
    refused(pass().snapshots(4, f32(2, 2, 4, 6), 2), name + "expected shape [3, 2, 4, 6], got [2,");
    refused(pass().snapshots(4, of(DType.BF16, 2, 2, 4, 6)), name + "expected dtype F32, got BF16");
    refused(
        pass().snapshots(4, f32(2, 2, 4, 6), 0, 0),
        "startPositions: expected one for each of 1 sequences, got 2");
    refused(
        pass().snapshots(4, f32(2, 2, 4, 6), -1), "startPositions[0]: expected at least 0, got -1");
    assertThatThrownBy(() -> pass().snapshots(0, f32(2, 2, 4, 6)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("every: expected at least 1 token, got 0");
  }

  @Test
  void sharedMemory() {
    Tensor all = f32(1000);
    Tensor to = all.strided(0, new long[] {1, 10, 2, 6}, new long[] {120, 12, 6, 1});
    Tensor within = all.strided(100, new long[] {1, 2, 4, 6}, new long[] {48, 24, 6, 1});
    Tensor many = all.strided(110, new long[] {2, 2, 4, 6}, new long[] {48, 24, 6, 1});
    refused(pass(q, to).initialState(within), "out: must not overlap initialState");
    refused(pass(q, to).finalState(within), "finalState: must not overlap out");
    refused(pass(q, to).state(within), "state: must not overlap out");
    refused(pass(q, to).snapshots(5, many), "outStates of snapshots: must not overlap out");
    refused(
        pass().state(within).snapshots(5, many), "outStates of snapshots: must not overlap state");
    refused(
        pass().initialState(within).snapshots(5, many),
        "outStates of snapshots: must not overlap initialState");
    Tensor shifted = all.strided(120, new long[] {1, 2, 4, 6}, new long[] {48, 24, 6, 1});
    refused(
        pass().initialState(within).finalState(shifted),
        "finalState: must not overlap initialState");
    Tensor numbers = scope.add(Tensor.of(new int[148], 148));
    numbers.accessor().setLong(1, 10);
    Tensor offsets = numbers.narrow(0, 0, 2);
    Tensor over = Tensor.wrap(numbers.pointer(), DType.F32, 148).narrow(0, 0, 48);
    refused(
        pass().packed(offsets).finalState(over.reshape(1, 2, 4, 6)),
        "finalState: must not overlap offsets");
  }

  @Test
  void closedAndReadOnlyTensors() {
    Tensor closed = Tensor.allocate(DType.F32, 1, 2, 4, 6);
    closed.close();
    misused(pass().initialState(closed));
    misused(pass().finalState(closed));
    misused(pass().snapshots(10, closed));
    Tensor offsets = Tensor.of(new int[] {0, 10}, 2);
    offsets.close();
    misused(pass().packed(offsets));
    Tensor slots = Tensor.of(new int[1], 1);
    slots.close();
    misused(pass().state(pool).slots(slots));
    try (Memory memory = Memory.allocate(4096);
        Memory view = Memory.wrapReadOnly(memory.address(), 4096, () -> {})) {
      Tensor fixed = Tensor.view(view, 0, DType.F32, 1, 2, 4, 6);
      refused(pass().finalState(fixed), "finalState: expected memory that can be written");
      refused(pass().state(fixed), "state: expected memory that can be written");
      refused(pass().snapshots(10, fixed), "outStates of snapshots: expected memory that can be");
      refused(
          pass(q, Tensor.view(view, 0, DType.F32, 1, 10, 2, 6)),
          "out: expected memory that can be written");
    }
  }

  @Test
  void norms() {
    Tensor weight = f32(12);
    OutputNorm plain = new OutputNorm(weight, 0, null);
    Tensor apart = f32(1, 10, 2, 8).narrow(3, 0, 6);
    refused(pass(q, apart).norm(plain), "out: expected heads side by side for the norm");
    refused(pass().norm(new OutputNorm(f32(6), 0, null)), "weight: expected shape [12], got [6]");
    refused(
        pass().norm(new OutputNorm(of(DType.F64, 12), 0, null)), "weight: expected dtype in [F32,");
    refused(
        pass().norm(new OutputNorm(weight, 0, f32(1, 10, 2, 6))),
        "gate: expected shape [1, 10, 12], got [1, 10, 2, 6]");
    refused(
        pass().norm(new OutputNorm(weight, 0, of(DType.BF16, 1, 10, 12))),
        "gate: expected dtype F32, got BF16");
    refused(
        pass().norm(new OutputNorm(weight, 0, out.reshape(1, 10, 12))),
        "out: must not overlap gate");
    refused(
        pass().norm(new OutputNorm(out.reshape(120).narrow(0, 0, 12), 0, null)),
        "out: must not overlap weight");
    for (float eps : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThatThrownBy(() -> new OutputNorm(weight, eps, null))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("eps: expected >= 0 and finite, got " + eps);
    }
  }
}
