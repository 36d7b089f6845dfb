package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every bad argument is refused by name, with what was expected and what came. */
final class LightningArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor q = f32(2, 5, 3, 4);
  private final Tensor k = f32(2, 5, 3, 4);
  private final Tensor v = f32(2, 5, 3, 6);
  private final Tensor state = f32(2, 3, 4, 6);
  private final Tensor out = f32(2, 5, 3, 6);
  private final Tensor closed = closed();
  private final Decay decay = Decay.ofSlopes(new double[] {0.1, 0.2, 0.3});

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor f32(long... shape) {
    return scope.allocate(DType.F32, shape);
  }

  private static Tensor closed() {
    Tensor tensor = Tensor.allocate(DType.F32, 2, 5, 3, 4);
    tensor.close();
    return tensor;
  }

  private static void refused(Runnable call, String message) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  private void prefill(Tensor q, Tensor k, Tensor v, Tensor state, Tensor out) {
    LightningAttention.best().prefill(q, k, v, decay, Options.DEFAULT, state, out);
  }

  @Test
  void prefillRefusesShapes() {
    refused(() -> prefill(q.select(0, 0), k, v, state, out), "q: expected 4 dimensions");
    refused(
        () -> prefill(q, k.narrow(3, 0, 3), v, state, out),
        "k: expected shape [2, 5, 3, 4], got [2, 5, 3, 3]");
    refused(
        () -> prefill(q, k, v.narrow(1, 0, 4), state, out),
        "v: expected shape [2, 5, 3, 6], got [2, 4, 3, 6]");
    refused(() -> prefill(q, k, v.select(0, 0), state, out), "v: expected 4 dimensions");
    refused(
        () -> prefill(q, k, v, f32(2, 3, 6, 4), out),
        "state: expected shape [2, 3, 4, 6], got [2, 3, 6, 4]");
    refused(
        () -> prefill(q, k, v, state, f32(2, 5, 3, 4)),
        "out: expected shape [2, 5, 3, 6], got [2, 5, 3, 4]");
    refused(() -> prefill(f32(2, 5, 3, 0), f32(2, 5, 3, 0), v, state, out), "at least one channel");
    refused(
        () -> prefill(q, k, f32(2, 5, 3, 0), state, out),
        "v: expected heads of at least one channel");
    refused(() -> prefill(f32(2, 5, 0, 4), f32(2, 5, 0, 4), f32(2, 5, 0, 6), state, out), "head");
  }

  @Test
  void prefillRefusesTypesAndStrides() {
    Tensor doubles = scope.allocate(DType.F64, 2, 5, 3, 4);
    refused(() -> prefill(doubles, k, v, state, out), "got F64");
    refused(() -> prefill(q, doubles, v, state, out), "k: expected dtype F32, got F64");
    refused(
        () -> prefill(q, k, scope.allocate(DType.BF16, 2, 5, 3, 6), state, out),
        "v: expected dtype F32, got BF16");
    refused(
        () -> prefill(q, k, v, scope.allocate(DType.BF16, 2, 3, 4, 6), out),
        "state: expected dtype F32, got BF16");
    refused(
        () -> prefill(q, k, v, state, scope.allocate(DType.F16, 2, 5, 3, 6)),
        "out: expected dtype F32, got F16");
    Tensor sparse = f32(2, 5, 3, 8).strided(0, q.shape(), new long[] {120, 24, 8, 2});
    refused(() -> prefill(q, sparse, v, state, out), "k: expected a last dimension of stride 1");
    Tensor strided = f32(2, 3, 4, 8).narrow(3, 0, 6);
    refused(() -> prefill(q, k, v, strided, out), "state: expected a contiguous tensor");
  }

  @Test
  void prefillRefusesDecayOfOtherHeads() {
    Decay four = Decay.ofSlopes(new double[4]);
    refused(
        () -> LightningAttention.best().prefill(q, k, v, four, Options.DEFAULT, state, out),
        "decay: expected 3 heads as q has, got 4");
  }

  @Test
  void prefillRefusesSharedOutputs() {
    Tensor square = f32(2, 5, 3, 4);
    Tensor states = f32(2, 3, 4, 4);
    refused(() -> prefill(q, k, square, states, square), "out: must not overlap v");
    refused(() -> prefill(square, k, k, states, square), "out: must not overlap q");
    refused(() -> prefill(q, square, k, states, square), "out: must not overlap k");
    Tensor fused = f32(2, 5, 3, 12);
    refused(
        () -> prefill(q, k, fused.narrow(3, 0, 4), states, fused.narrow(3, 3, 4)),
        "out: must not overlap v");
    Tensor both = f32(500);
    Tensor part = both.strided(3, new long[] {2, 5, 3, 6}, new long[] {90, 18, 6, 1});
    Tensor within = both.strided(0, new long[] {2, 3, 4, 6}, new long[] {72, 24, 6, 1});
    refused(() -> prefill(q, k, v, within, part), "state: must not overlap out");
    refused(() -> prefill(q, k, part, within, out), "state: must not overlap v");
  }

  @Test
  void prefillRefusesClosedTensors() {
    assertThatThrownBy(() -> prefill(closed, k, v, state, out))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> prefill(q, closed, v, state, out))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> prefill(q, k, k, f32(2, 3, 4, 4), closed))
        .isInstanceOf(IllegalStateException.class);
  }

  private void decode(Tensor q, Tensor pool, Tensor slots, Tensor out) {
    LightningAttention.best()
        .decode(q, k.select(1, 0), v.select(1, 0), decay, Options.DEFAULT, pool, slots, out);
  }

  private Tensor slots(int... slots) {
    return scope.add(Tensor.of(slots, slots.length));
  }

  @Test
  void decodeRefusesWhatDoesNotFit() {
    Tensor one = q.select(1, 0);
    Tensor to = out.select(1, 0);
    refused(() -> decode(q, state, slots(0, 1), to), "q: expected 3 dimensions");
    refused(() -> decode(one.narrow(0, 0, 1), state, slots(0), to), "k: expected shape [1, 3, 4]");
    refused(
        () -> decode(one, state.select(0, 0), slots(0, 1), to), "statePool: expected 4 dimensions");
    refused(
        () -> decode(one, f32(2, 3, 6, 4), slots(0, 1), to),
        "statePool: expected shape [2, 3, 4, 6], got [2, 3, 6, 4]");
    refused(
        () -> decode(one, state, scope.allocate(DType.I64, 2), to),
        "slots: expected dtype I32, got I64");
    refused(() -> decode(one, state, slots(0), to), "slots: expected shape [2], got [1]");
    refused(() -> decode(one, state, slots(0, 1), q.select(1, 0)), "out: expected shape [2, 3, 6]");
    refused(() -> decode(one, state, slots(0, 1), v.select(1, 0)), "out: must not overlap v");
    Tensor inPool = state.reshape(24, 6).strided(0, to.shape(), new long[] {18, 6, 1});
    refused(() -> decode(one, state, slots(0, 1), inPool), "statePool: must not overlap out");
  }

  @Test
  void decodeRefusesSlots() {
    Tensor one = q.select(1, 0);
    Tensor to = out.select(1, 0);
    refused(() -> decode(one, state, slots(0, 2), to), "slots[1]: expected -1 <= slot < 2, got 2");
    refused(
        () -> decode(one, state, slots(-2, 0), to), "slots[0]: expected -1 <= slot < 2, got -2");
    refused(() -> decode(one, state, slots(1, 1), to), "slots[1]: slot 1 is used by another row");
  }

  private void backward(Tensor dOut, Tensor dFinal, Tensor dq, Tensor dState, Tensor dLog) {
    LightningAttention.best()
        .backward(
            new Prefill(q, k, v, decay, Options.DEFAULT, out).initialState(state),
            new Gradients(dOut)
                .dFinalState(dFinal)
                .outDq(dq)
                .outDkDv(f32(2, 5, 3, 4), f32(2, 5, 3, 6))
                .outDInitialState(dState)
                .outDLogDecay(dLog));
  }

  @Test
  void backwardRefusesWhatDoesNotFit() {
    Tensor dq = f32(2, 5, 3, 4);
    Tensor dState = f32(2, 3, 4, 6);
    Tensor dLog = f32(3);
    refused(() -> backward(q, dState, dq, dState, dLog), "dOut: expected shape [2, 5, 3, 6]");
    refused(
        () -> backward(out, f32(2, 3, 4, 4), dq, dState, dLog),
        "dFinalState: expected shape [2, 3, 4, 6]");
    refused(() -> backward(out, state, v, dState, dLog), "outDq: expected shape [2, 5, 3, 4]");
    refused(
        () -> backward(out, state, dq, f32(2, 3, 4, 4), dLog),
        "outDInitialState: expected shape [2, 3, 4, 6]");
    refused(
        () -> backward(out, state, dq, dState, f32(4)),
        "outDLogDecay: expected shape [3], got [4]");
    refused(() -> backward(out, state, q, dState, dLog), "outDq: must not overlap q");
    refused(
        () -> backward(out, dState, dq, dState, dLog),
        "outDInitialState: must not overlap dFinalState");
    refused(
        () -> backward(out, state, dq, state, dLog),
        "outDInitialState: must not overlap initialState");
    Tensor inside = dq.reshape(120).narrow(0, 7, 3);
    refused(() -> backward(out, state, dq, dState, inside), "outDLogDecay: must not overlap outDq");
  }
}
