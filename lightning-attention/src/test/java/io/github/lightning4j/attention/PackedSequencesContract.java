package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Sequences of different lengths in one row, and states picked by slots: the same bits as one
 * sequence after the other.
 */
abstract class PackedSequencesContract {
  private static final int[] LENGTHS = {5, 0, 33, 1, 70, 0, 130, 2, 32, 0};

  abstract LightningAttention attention();

  private static Packed packed(long seed, int... lengths) {
    return new Packed(seed, 17, 24, new Options(0.5f, true), lengths, 0.84, 0.003);
  }

  private static void assertSameBits(String what, Tensor actual, Tensor expected) {
    assertThat(actual.toFloats()).as(what).isEqualTo(expected.toFloats());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void equalTheirSequencesOneByOne(boolean wide) {
    try (Packed x = packed(1, LENGTHS)) {
      Tensor offsets = wide ? x.offsets() : x.offsets32();
      attention().prefill(x.p.pass().packed(offsets).initialState(x.initial).finalState(x.last));
      Tensor out = x.anotherOut();
      Tensor state = x.p.state;
      for (int i = 0; i < x.count(); i++) {
        Prefill alone = x.alone(i, out);
        attention().prefill(alone.initialState(x.initial.narrow(0, i, 1)).finalState(state));
        assertSameBits("state " + i, x.last.narrow(0, i, 1), state);
      }
      assertSameBits("out", x.p.out, out);
    }
  }

  @Test
  void startFromZerosWithoutStates() {
    try (Packed x = packed(2, LENGTHS)) {
      attention().prefill(x.pass(x.p.out));
      Tensor zeros = x.p.scope.allocate(DType.F32, x.initial.shape());
      Tensor out = x.anotherOut();
      attention().prefill(x.pass(out).initialState(zeros));
      assertSameBits("out from zeros", x.p.out, out);
      attention().prefill(x.pass(out).finalState(x.last));
      assertSameBits("out with final states", x.p.out, out);
      attention().prefill(x.pass(out).state(zeros));
      assertSameBits("final states", zeros, x.last);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void useThePoolEntriesOfTheirSlots(boolean inPlace) {
    try (Packed x = packed(3, 40, 3, 0, 66, 1)) {
      int[] slots = {6, -1, 2, 0, 4};
      Tensor pool = x.p.scope.add(Cases.normal(30, DType.F32, 7, 2, 17, 24));
      Tensor before = copy(x, pool);
      Tensor to = inPlace ? pool : x.p.scope.add(Cases.normal(31, DType.F32, 8, 2, 17, 24));
      Tensor untouched = copy(x, to);
      Tensor out = x.anotherOut();
      attention()
          .prefill(
              x.pass(out)
                  .slots(x.p.scope.add(Tensor.of(slots, 5)))
                  .initialState(pool)
                  .finalState(to));
      for (int i = 0; i < x.count(); i++) {
        if (slots[i] < 0) {
          assertThat(x.part(out, i).toFloats()).containsOnly(0f);
          continue;
        }
        Tensor entry = before.narrow(0, slots[i], 1);
        attention().prefill(x.alone(i, x.p.out).initialState(entry).finalState(x.p.state));
        assertSameBits("out " + i, x.part(out, i), x.part(x.p.out, i));
        assertSameBits("state " + i, to.select(0, slots[i]), x.p.state.select(0, 0));
      }
      for (int entry : new int[] {1, 3, 5}) {
        assertSameBits("entry " + entry, to.select(0, entry), untouched.select(0, entry));
      }
      if (!inPlace) {
        assertSameBits("pool read", pool, before);
      }
    }
  }

  private static Tensor copy(Packed x, Tensor from) {
    Tensor copy = x.p.scope.allocate(from.dtype(), from.shape());
    copy.copyFrom(from);
    return copy;
  }

  @Test
  void rowsOfABatchUseSlotsToo() {
    try (Problem p = new Problem(4, 3, 45, 16, 8, 0.3, 0.01)) {
      Tensor pool = p.scope.add(Cases.normal(5, DType.F32, 4, 2, 16, 8));
      p.state.select(0, 0).copyFrom(pool.select(0, 3));
      p.state.select(0, 2).copyFrom(pool.select(0, 1));
      p.prefill(attention());
      Tensor out = p.scope.add(Cases.normal(6, DType.F32, p.out.shape()));
      Tensor slots = p.scope.add(Tensor.of(new int[] {3, -1, 1}, 3));
      attention().prefill(p.pass(out).slots(slots).state(pool));
      for (int row : new int[] {0, 2}) {
        assertSameBits("out", out.select(0, row), p.out.select(0, row));
        assertSameBits("state", pool.select(0, row == 0 ? 3 : 1), p.state.select(0, row));
      }
      assertThat(out.select(0, 1).toFloats()).containsOnly(0f);
    }
  }

  @Test
  void ofNoTokensHandTheirStatesOn() {
    try (Packed x = packed(5, 0, 0, 0)) {
      attention().prefill(x.pass(x.p.out).initialState(x.initial).finalState(x.last));
      assertSameBits("states", x.last, x.initial);
      attention().prefill(x.pass(x.p.out).finalState(x.last));
      assertThat(x.last.toFloats()).containsOnly(0f);
    }
    try (Packed none = packed(5)) {
      attention().prefill(none.pass(none.p.out).state(none.initial));
    }
  }

  @Test
  void ofRandomLengthsEqualTheirSequencesOneByOne() {
    Random random = new Random(7);
    for (int round = 0; round < 20; round++) {
      int[] lengths = random.ints(1 + random.nextInt(6), 0, 90).toArray();
      try (Packed x = packed(100 + round, lengths)) {
        attention().prefill(x.pass(x.p.out).initialState(x.initial).finalState(x.last));
        Tensor out = x.anotherOut();
        for (int i = 0; i < x.count(); i++) {
          attention().prefill(x.alone(i, out).state(x.initial.narrow(0, i, 1)));
        }
        assertSameBits("out", x.p.out, out);
        assertSameBits("states", x.last, x.initial);
      }
    }
  }

  /** Room for the gradients of a packed problem. */
  private static final class Room {
    final Tensor dq;
    final Tensor dk;
    final Tensor dv;
    final Tensor dInitial;
    final Tensor dLog;

    Room(Packed x) {
      dq = x.p.scope.add(Cases.normal(50, DType.F32, x.p.q.shape()));
      dk = x.p.scope.add(Cases.normal(51, DType.F32, x.p.k.shape()));
      dv = x.p.scope.add(Cases.normal(52, DType.F32, x.p.v.shape()));
      dInitial = x.p.scope.add(Cases.normal(53, DType.F32, x.initial.shape()));
      dLog = x.p.scope.allocate(DType.F32, 2);
    }

    Gradients of(Packed x, int i, Tensor dInitialOfOne) {
      return new Gradients(x.part(x.p.dOut, i))
          .dFinalState(x.last.narrow(0, i, 1))
          .outDq(x.part(dq, i))
          .outDkDv(x.part(dk, i), x.part(dv, i))
          .outDInitialState(dInitialOfOne)
          .outDLogDecay(dLog);
    }
  }

  @Test
  void gradientsEqualThoseOneByOne() {
    try (Packed x = packed(8, LENGTHS)) {
      Room all = new Room(x);
      attention()
          .backward(
              x.pass(x.p.out).initialState(x.initial),
              new Gradients(x.p.dOut)
                  .dFinalState(x.last)
                  .outDq(all.dq)
                  .outDkDv(all.dk, all.dv)
                  .outDInitialState(all.dInitial)
                  .outDLogDecay(all.dLog));
      Room one = new Room(x);
      double[] logs = new double[2];
      for (int i = 0; i < x.count(); i++) {
        attention()
            .backward(
                x.alone(i, x.p.out).initialState(x.initial.narrow(0, i, 1)),
                one.of(x, i, one.dInitial.narrow(0, i, 1)));
        logs[0] += one.dLog.toDoubles()[0];
        logs[1] += one.dLog.toDoubles()[1];
      }
      assertSameBits("dq", all.dq, one.dq);
      assertSameBits("dk", all.dk, one.dk);
      assertSameBits("dv", all.dv, one.dv);
      assertSameBits("dInitial", all.dInitial, one.dInitial);
      Closeness.assertNmse("dLogDecay", all.dLog.toDoubles(), logs, 1e-12);
    }
  }

  @Test
  void gradientsOfSkippedSequencesAreLeftAsTheyAre() {
    try (Packed x = packed(9, 40, 35, 3)) {
      Room room = new Room(x);
      Room marks = new Room(x);
      Tensor slots = x.p.scope.add(Tensor.of(new int[] {2, -1, 0}, 3));
      attention()
          .backward(
              x.pass(x.p.out).initialState(x.initial).finalState(x.last).slots(slots),
              new Gradients(x.p.dOut)
                  .dFinalState(x.last)
                  .outDq(room.dq)
                  .outDkDv(room.dk, room.dv)
                  .outDInitialState(room.dInitial));
      assertSameBits("dq", x.part(room.dq, 1), x.part(marks.dq, 1));
      assertSameBits("dk", x.part(room.dk, 1), x.part(marks.dk, 1));
      assertSameBits("dv", x.part(room.dv, 1), x.part(marks.dv, 1));
      assertSameBits("dInitial", room.dInitial.select(0, 1), marks.dInitial.select(0, 1));
      attention()
          .backward(
              x.alone(0, x.p.out).initialState(x.initial.narrow(0, 2, 1)),
              new Gradients(x.part(x.p.dOut, 0))
                  .dFinalState(x.last.narrow(0, 2, 1))
                  .outDq(x.part(marks.dq, 0))
                  .outDInitialState(marks.dInitial.narrow(0, 2, 1)));
      assertSameBits("dq", x.part(room.dq, 0), x.part(marks.dq, 0));
      assertSameBits("dInitial", room.dInitial.select(0, 2), marks.dInitial.select(0, 2));
    }
  }

  @Test
  void leaveNoMemoryBehind() {
    try (Packed x = packed(10, 2, 0, 1)) {
      Prefill pass =
          x.pass(x.p.out)
              .slots(x.p.scope.add(Tensor.of(new int[] {1, 0, -1}, 3)))
              .initialState(x.initial)
              .finalState(x.last);
      Gradients gradients = new Gradients(x.p.dOut).outDq(x.anotherOut().narrow(3, 0, 17));
      FlatMemory.assertFlat(
          "packed",
          10_000,
          () -> {
            attention().prefill(pass);
            attention().backward(pass, gradients);
          });
    }
  }
}
