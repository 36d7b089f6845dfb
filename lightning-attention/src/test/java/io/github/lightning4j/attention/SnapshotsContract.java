package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** States kept on the way are those that runs over the tokens before them end with. */
abstract class SnapshotsContract {
  /** fp32 sums in another order. */
  private static final double LIMIT = 1e-12;

  abstract LightningAttention attention();

  @ParameterizedTest
  @CsvSource({
    "1, 0, 40",
    "5, 0, 131",
    "32, 0, 128",
    "64, 0, 200",
    "100, 0, 257",
    "100, 99, 257",
    "100, 100, 99",
    "32, 17, 100",
    "7, 3, 4",
    "7, 3, 3",
    "50, 0, 49",
    "1000, 2500, 4700"
  })
  void areTheStatesOfPrefixes(int every, long position, int tokens) {
    try (Problem p = new Problem(every + tokens, 1, tokens, 9, 16, 0.84, 0.003)) {
      long count = Prefill.snapshotCount(position, tokens, every);
      Tensor taken = p.scope.allocate(DType.F32, count, 2, 9, 16);
      attention()
          .prefill(
              p.pass()
                  .initialState(p.initial)
                  .finalState(p.state)
                  .snapshots(every, taken, position));
      long at = (position / every + 1) * every - position;
      for (int i = 0; i < count; i++, at += every) {
        assertPrefixAndRest(p, at, taken.narrow(0, i, 1));
      }
      assertThat(at).isGreaterThan(tokens);
    }
  }

  /** The first {@code at} tokens end with the snapshot; from it the others give the same. */
  private void assertPrefixAndRest(Problem p, long at, Tensor snapshot) {
    Tensor state = p.scope.allocate(DType.F32, p.state.shape());
    Tensor out = p.scope.allocate(DType.F32, p.out.shape());
    Prefill prefix = p.pass(0, at, out.narrow(1, 0, at));
    attention().prefill(prefix.initialState(p.initial).finalState(state));
    Closeness.assertNmse("snapshot after " + at, snapshot, state, LIMIT);
    long rest = p.q.size(1) - at;
    Prefill resumed = p.pass(at, rest, out.narrow(1, at, rest));
    attention().prefill(resumed.initialState(snapshot).finalState(state));
    Closeness.assertNmse("out resumed after " + at, out, p.out, LIMIT);
    Closeness.assertNmse("state resumed after " + at, state, p.state, LIMIT);
  }

  @ParameterizedTest
  @ValueSource(ints = {32, 40})
  void lieSequenceBySequence(int every) {
    int[] lengths = {70, 0, 129, 10, 96};
    long[] positions = {0, 40, 33, 38, 64};
    try (Packed x = new Packed(1, 9, 16, Options.DEFAULT, lengths, 0.84, 0.003)) {
      long total = 0;
      for (int i = 0; i < lengths.length; i++) {
        total += Prefill.snapshotCount(positions[i], lengths[i], every);
      }
      Tensor taken = x.p.scope.allocate(DType.F32, total, 2, 9, 16);
      attention()
          .prefill(
              x.pass(x.p.out)
                  .initialState(x.initial)
                  .finalState(x.last)
                  .snapshots(every, taken, positions));
      long first = 0;
      for (int i = 0; i < lengths.length; i++) {
        long count = Prefill.snapshotCount(positions[i], lengths[i], every);
        Tensor own = x.p.scope.allocate(DType.F32, count, 2, 9, 16);
        Tensor out = x.p.scope.allocate(DType.F32, x.p.out.shape());
        attention()
            .prefill(
                x.alone(i, out)
                    .initialState(x.initial.narrow(0, i, 1))
                    .snapshots(every, own, positions[i]));
        assertThat(taken.narrow(0, first, count).toFloats()).isEqualTo(own.toFloats());
        first += count;
      }
      assertThat(first).isEqualTo(total);
    }
  }

  @Test
  void ofRowsStartAtPositionZeroUnlessTold() {
    try (Problem p = new Problem(2, 2, 70, 8, 8, 0.3)) {
      Tensor plain = p.scope.allocate(DType.F32, 4, 1, 8, 8);
      Tensor told = p.scope.allocate(DType.F32, 4, 1, 8, 8);
      attention().prefill(p.pass().snapshots(32, plain));
      attention().prefill(p.pass().snapshots(32, told, 0, 0));
      assertThat(told.toFloats()).isEqualTo(plain.toFloats());
      attention().prefill(p.pass(0, 64, p.out.narrow(1, 0, 64)).finalState(p.state));
      assertThat(plain.select(0, 1).toFloats()).isEqualTo(p.state.select(0, 0).toFloats());
      assertThat(plain.select(0, 3).toFloats()).isEqualTo(p.state.select(0, 1).toFloats());
    }
  }

  @Test
  void ofSkippedSequencesAreLeftAsTheyAre() {
    int[] lengths = {70, 66, 40};
    try (Packed x = new Packed(3, 8, 8, Options.DEFAULT, lengths, 0.3)) {
      Tensor taken = x.p.scope.add(Cases.normal(4, DType.F32, 5, 1, 8, 8));
      Tensor marks = x.p.scope.add(Cases.normal(4, DType.F32, 5, 1, 8, 8));
      Tensor slots = x.p.scope.add(Tensor.of(new int[] {1, -1, 0}, 3));
      attention().prefill(x.pass(x.p.out).slots(slots).state(x.last).snapshots(32, taken));
      assertThat(taken.narrow(0, 2, 2).toFloats()).isEqualTo(marks.narrow(0, 2, 2).toFloats());
      assertThat(taken.select(0, 4).toFloats()).isNotEqualTo(marks.select(0, 4).toFloats());
    }
  }

  @Test
  void leaveNoMemoryBehind() {
    try (Problem p = new Problem(5, 1, 5, 8, 8, 0.3)) {
      Tensor taken = p.scope.allocate(DType.F32, 2, 1, 8, 8);
      Prefill pass = p.pass().state(p.state).snapshots(2, taken);
      FlatMemory.assertFlat("snapshots", 10_000, () -> attention().prefill(pass));
    }
  }
}
