package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every bad argument of verify, advance, a normed decode and segments is refused by name. */
final class PoolArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor k = f32(2, 5, 3, 4);
  private final Tensor v = f32(2, 5, 3, 6);
  private final Tensor out = f32(2, 5, 3, 6);
  private final Tensor pool = f32(4, 3, 4, 6);
  private final Tensor slots = ints(3, 0);
  private final Decay decay = Decay.ofSlopes(new double[] {0.1, 0.2, 0.3});
  private final LightningAttention attention = LightningAttention.best();

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor f32(long... shape) {
    return scope.allocate(DType.F32, shape);
  }

  private Tensor ints(int... values) {
    return scope.add(Tensor.of(values, values.length));
  }

  private static void refused(Runnable call, String message) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  private Runnable verify(Tensor states, Tensor indices, Tensor to) {
    return () -> attention.verify(k, k, v, decay, Options.DEFAULT, states, indices, to);
  }

  @Test
  void verifyRefusesWhatDoesNotFit() {
    refused(
        verify(f32(4, 3, 6, 4), slots, out),
        "statePool: expected shape [4, 3, 4, 6], got [4, 3, 6, 4]");
    refused(verify(pool, ints(0, 4), out), "slots[1]: expected -1 <= slot < 4, got 4");
    refused(verify(pool, ints(1, 1), out), "slots[1]: slot 1 is used by another row already");
    refused(verify(pool, slots, f32(2, 5, 3, 4)), "out: expected shape [2, 5, 3, 6]");
    refused(verify(pool, slots, v), "out: must not overlap v");
    Tensor inside = pool.reshape(288).narrow(0, 0, 180).reshape(2, 5, 3, 6);
    refused(verify(pool, slots, inside), "out: must not overlap statePool");
  }

  private Runnable advance(Tensor states, @Nullable Tensor indices, @Nullable Tensor tokens) {
    return () -> attention.advance(k, v, decay, Options.DEFAULT, states, indices, tokens);
  }

  @Test
  void advanceRefusesWhatDoesNotFit() {
    refused(advance(pool, null, null), "statePool: expected shape [2, 3, 4, 6], got [4, 3, 4, 6]");
    refused(advance(pool, ints(4, 0), null), "slots[0]: expected -1 <= slot < 4, got 4");
    refused(advance(pool, ints(2, 2), null), "slots[1]: slot 2 is used by another row already");
    refused(advance(pool, ints(2), null), "slots: expected shape [2], got [1]");
    refused(advance(pool, slots, ints(0, 6)), "tokens[1]: expected 0 <= tokens <= 5, got 6");
    refused(advance(pool, slots, ints(-1, 2)), "tokens[0]: expected 0 <= tokens <= 5, got -1");
    refused(advance(pool, slots, ints(1)), "tokens: expected shape [2], got [1]");
    refused(
        advance(pool, slots, scope.allocate(DType.I64, 2)), "tokens: expected dtype I32, got I64");
    refused(
        advance(scope.allocate(DType.BF16, 4, 3, 4, 6), slots, null),
        "statePool: expected dtype F32, got BF16");
    Tensor other = scope.allocate(DType.BF16, 2, 5, 3, 6);
    refused(
        () -> attention.advance(k, other, decay, Options.DEFAULT, pool, slots, null),
        "v: expected dtype F32, got BF16");
    Decay two = Decay.ofSlopes(new double[2]);
    refused(
        () -> attention.advance(k, v, two, Options.DEFAULT, pool, slots, null),
        "decay: expected 3 heads as k has, got 2");
    Tensor inside = pool.reshape(288).narrow(0, 0, 120).reshape(2, 5, 3, 4);
    refused(
        () -> attention.advance(inside, v, decay, Options.DEFAULT, pool, slots, null),
        "statePool: must not overlap k");
    try (Memory memory = Memory.allocate(8192);
        Memory view = Memory.wrapReadOnly(memory.address(), 8192, () -> {})) {
      Tensor fixed = Tensor.view(view, 0, DType.F32, 4, 3, 4, 6);
      refused(advance(fixed, slots, null), "statePool: expected memory that can be written");
    }
    Tensor closed = Tensor.allocate(DType.F32, 4, 3, 4, 6);
    closed.close();
    assertThatThrownBy(advance(closed, slots, null)::run).isInstanceOf(IllegalStateException.class);
  }

  private Runnable decode(OutputNorm norm, Tensor to) {
    Tensor key = k.select(1, 0);
    Tensor value = v.select(1, 0);
    return () -> attention.decode(key, key, value, decay, Options.DEFAULT, pool, slots, norm, to);
  }

  @Test
  void decodeRefusesNormsThatDoNotFit() {
    Tensor weight = f32(18);
    Tensor to = f32(2, 3, 6);
    refused(decode(new OutputNorm(f32(6), 0, null), to), "weight: expected shape [18], got [6]");
    refused(
        decode(new OutputNorm(weight, 0, f32(2, 3, 6)), to),
        "gate: expected shape [2, 18], got [2, 3, 6]");
    refused(
        decode(new OutputNorm(weight, 0, null), f32(2, 3, 8).narrow(2, 0, 6)),
        "out: expected a contiguous tensor");
    refused(decode(new OutputNorm(weight, 0, to.reshape(2, 18)), to), "out: must not overlap gate");
    Tensor inPool = pool.reshape(288).narrow(0, 0, 18);
    refused(decode(new OutputNorm(inPool, 0, null), to), "statePool: must not overlap weight");
  }

  private Runnable entering(Tensor local, long[] tokens, Tensor initial, Tensor to, Tensor last) {
    return () -> Segments.best().enteringStates(local, tokens, decay, initial, to, last);
  }

  @Test
  void segmentsRefuseWhatDoesNotFit() {
    Tensor local = f32(2, 1, 3, 4, 6);
    Tensor to = f32(2, 1, 3, 4, 6);
    Tensor initial = f32(1, 3, 4, 6);
    Tensor last = f32(1, 3, 4, 6);
    long[] tokens = {5, 7};
    refused(
        entering(pool, tokens, initial, to, last), "localStates: expected 5 dimensions, got shape");
    refused(
        entering(local, new long[] {5}, initial, to, last),
        "tokens: expected a length for each of 2 segments, got 1");
    refused(
        entering(local, new long[] {5, -1}, initial, to, last),
        "tokens[1]: expected at least 0, got -1");
    refused(
        entering(local, tokens, pool, to, last),
        "initialState: expected shape [1, 3, 4, 6], got [4, 3, 4, 6]");
    refused(
        entering(local, tokens, initial, f32(3, 1, 3, 4, 6), last),
        "outEntering: expected shape [2, 1, 3, 4, 6], got [3, 1, 3, 4, 6]");
    refused(
        entering(local, tokens, initial, to, pool),
        "outFinalState: expected shape [1, 3, 4, 6], got [4, 3, 4, 6]");
    refused(
        entering(scope.allocate(DType.BF16, 2, 1, 3, 4, 6), tokens, initial, to, last),
        "localStates: expected dtype F32, got BF16");
    refused(
        entering(local, tokens, initial, local, last), "outEntering: must not overlap localStates");
    refused(
        entering(local, tokens, initial, to, initial),
        "outFinalState: must not overlap initialState");
    refused(
        entering(local, tokens, initial, to, to.select(0, 1)),
        "outFinalState: must not overlap outEntering");
    Decay two = Decay.ofSlopes(new double[2]);
    refused(
        () -> Segments.best().enteringStates(local, tokens, two, initial, to, last),
        "decay: expected 3 heads as localStates has, got 2");
    refused(
        () -> Segments.best().leavingAdjoints(local, tokens, decay, pool, to, last),
        "dFinalState: expected shape [1, 3, 4, 6], got [4, 3, 4, 6]");
    refused(
        () -> Segments.best().leavingAdjoints(local, tokens, decay, initial, local, last),
        "outLeaving: must not overlap localAdjoints");
    refused(
        () -> Segments.best().leavingAdjoints(local, tokens, decay, initial, to, pool),
        "outDInitialState: expected shape [1, 3, 4, 6], got [4, 3, 4, 6]");
  }
}
