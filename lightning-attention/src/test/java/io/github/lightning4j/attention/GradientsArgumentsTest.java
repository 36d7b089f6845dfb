package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every bad argument of a backward pass is refused by name. */
final class GradientsArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor q = of(DType.BF16, 1, 10, 2, 4);
  private final Tensor v = of(DType.BF16, 1, 10, 2, 6);
  private final Tensor out = of(DType.BF16, 1, 10, 2, 6);
  private final Tensor dq = of(DType.BF16, 1, 10, 2, 4);
  private final Tensor dk = of(DType.BF16, 1, 10, 2, 4);
  private final Tensor dv = of(DType.BF16, 1, 10, 2, 6);
  private final Tensor dOut = of(DType.BF16, 1, 10, 2, 6);
  private final Tensor pool = of(DType.F32, 3, 2, 4, 6);
  private final Tensor dPool = of(DType.F32, 3, 2, 4, 6);
  private final Tensor dLog = of(DType.F32, 2);
  private final Decay decay = Decay.ofSlopes(new double[] {0.1, 0.2});

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor of(DType type, long... shape) {
    return scope.allocate(type, shape);
  }

  private Prefill pass() {
    return new Prefill(q, q, v, decay, Options.DEFAULT, out);
  }

  private static void refused(Prefill pass, Gradients gradients, String message) {
    assertThatThrownBy(() -> LightningAttention.best().backward(pass, gradients))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  private Gradients gradients() {
    return new Gradients(dOut);
  }

  @Test
  void mixedTypes() {
    refused(
        pass(),
        gradients().outDq(of(DType.F32, 1, 10, 2, 4)).outDkDv(dk, dv),
        "outDk: expected dtype F32 as the other gradients have, got BF16");
    refused(
        pass(),
        gradients().outDkDv(dk, of(DType.F32, 1, 10, 2, 6)),
        "outDv: expected dtype BF16 as the other gradients have, got F32");
    refused(
        pass(),
        gradients().outDq(of(DType.F16, 1, 10, 2, 4)),
        "outDq: expected dtype BF16 or F32, got F16");
    refused(
        pass(),
        new Gradients(of(DType.F16, 1, 10, 2, 6)).outDq(dq),
        "dOut: expected dtype BF16 or F32, got F16");
    refused(
        pass(),
        gradients().outDInitialState(of(DType.BF16, 1, 2, 4, 6)),
        "outDInitialState: expected dtype F32, got BF16");
    refused(
        pass(),
        gradients().outDq(dq).outDkDv(dk, dv).outDLogDecay(of(DType.BF16, 2)),
        "outDLogDecay: expected dtype F32, got BF16");
  }

  @Test
  void decayWithoutTheOthers() {
    String message = "outDLogDecay: needs the gradients of q, k and v too; give outDq and outDkDv";
    refused(pass(), gradients().outDLogDecay(dLog), message);
    refused(pass(), gradients().outDq(dq).outDLogDecay(dLog), message);
    refused(pass(), gradients().outDkDv(dk, dv).outDLogDecay(dLog), message);
  }

  @Test
  void passWithNorm() {
    Prefill normed = pass().norm(new OutputNorm(of(DType.F32, 12), 0, null));
    refused(normed, gradients().outDq(dq), "norm: the backward pass starts at the bare outputs");
  }

  @Test
  void statesOfOtherSequences() {
    refused(
        pass(),
        gradients().dFinalState(pool),
        "dFinalState: expected shape [1, 2, 4, 6], got [3, 2, 4, 6]");
    refused(
        pass(),
        gradients().outDInitialState(pool),
        "outDInitialState: expected shape [1, 2, 4, 6], got [3, 2, 4, 6]");
    Tensor slots = scope.add(Tensor.of(new int[] {2}, 1));
    refused(
        pass().initialState(pool).slots(slots),
        gradients().dFinalState(dPool),
        "dFinalState: slots index it as they index the states; give those to the forward pass");
    refused(
        pass().finalState(pool).slots(slots),
        gradients().outDInitialState(dPool),
        "outDInitialState: slots index it as they index the states");
    refused(
        pass().initialState(pool).finalState(dPool).slots(slots),
        gradients().outDInitialState(of(DType.F32, 2, 2, 4, 6)),
        "outDInitialState: expected shape [3, 2, 4, 6], got [2, 2, 4, 6]");
  }

  @Test
  void sharedMemory() {
    refused(pass(), gradients().outDq(q), "outDq: must not overlap q");
    refused(pass(), gradients().outDkDv(q, dv), "outDk: must not overlap q");
    refused(pass(), gradients().outDkDv(dk, v), "outDv: must not overlap v");
    refused(pass(), gradients().outDkDv(dk, dOut), "outDv: must not overlap dOut");
    refused(pass(), gradients().outDq(dk).outDkDv(dk, dv), "outDk: must not overlap outDq");
    Tensor slots = scope.add(Tensor.of(new int[] {2}, 1));
    refused(
        pass().initialState(pool).slots(slots),
        gradients().outDInitialState(pool),
        "outDInitialState: must not overlap initialState");
    refused(
        pass().initialState(pool).finalState(of(DType.F32, 3, 2, 4, 6)).slots(slots),
        gradients().dFinalState(dPool).outDInitialState(dPool),
        "outDInitialState: must not overlap dFinalState");
    refused(
        pass().state(pool).slots(slots),
        gradients().outDInitialState(dPool),
        "initialState: final states go over it");
    refused(pass(), new Gradients(dOut), "gradients: expected at least one that is wanted");
    Tensor oneRow = dk.strided(0, dk.shape(), new long[] {0, 0, dk.stride(2), 1});
    refused(pass(), gradients().outDq(oneRow), "outDq: expected elements that share no memory");
  }

  @Test
  void halfOfKeysAndValues() {
    Gradients half = gradients().outDkDv(dk, dv);
    half.outDv = null;
    refused(pass(), half, "outDk, outDv: expected both or neither, got BF16[1, 10, 2, 4]");
  }

  @Test
  void closedAndReadOnlyTensors() {
    Tensor closed = Tensor.allocate(DType.BF16, 1, 10, 2, 4);
    closed.close();
    assertThatThrownBy(() -> LightningAttention.best().backward(pass(), gradients().outDq(closed)))
        .isInstanceOf(IllegalStateException.class);
    try (Memory memory = Memory.allocate(4096);
        Memory view = Memory.wrapReadOnly(memory.address(), 4096, () -> {})) {
      Tensor fixed = Tensor.view(view, 0, DType.BF16, 1, 10, 2, 4);
      refused(pass(), gradients().outDq(fixed), "outDq: expected memory that can be written");
      Tensor log = Tensor.view(view, 0, DType.F32, 2);
      refused(
          pass(),
          gradients().outDq(dq).outDkDv(dk, dv).outDLogDecay(log),
          "outDLogDecay: expected memory that can be written");
    }
  }
}
