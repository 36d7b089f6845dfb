package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Speculative decoding: {@link LightningAttention#verify} gives outputs of drafts and changes
 * nothing, {@link LightningAttention#advance} commits those accepted.
 */
abstract class SpeculationContract {
  private static final int ROWS = 4;

  abstract Backend backend();

  private LightningAttention attention() {
    return LightningAttention.of(backend());
  }

  private static Problem drafts(long seed, DType type, int tokens) {
    Options options = new Options(0.5f, true);
    return new Problem(seed, type, type, ROWS, tokens, 17, 24, options, 0.84, 0.003);
  }

  /** Seven states. */
  private static Tensor pool(Problem p) {
    return p.scope.add(Cases.normal(60, DType.F32, 7, 2, 17, 24));
  }

  private static Tensor ints(Problem p, int... values) {
    return p.scope.add(Tensor.of(values, values.length));
  }

  @ParameterizedTest
  @CsvSource({"F32, 1", "F32, 5", "F32, 40", "BF16, 6", "F16, 33"})
  void verifyGivesOutputsAndLeavesStatesAlone(DType type, int tokens) {
    try (Problem p = drafts(tokens, type, tokens)) {
      Tensor pool = pool(p);
      float[] before = pool.toFloats();
      Tensor slots = ints(p, 6, 0, -1, 3);
      attention().verify(p.q, p.k, p.v, p.decay, p.options, pool, slots, p.out);
      assertThat(pool.toFloats()).isEqualTo(before);
      assertThat(p.out.select(0, 2).toFloats()).containsOnly(0f);
      Tensor out = p.scope.allocate(type, p.out.shape());
      attention().prefill(p.pass(out).state(pool).slots(slots));
      assertThat(p.out.toFloats()).isEqualTo(out.toFloats());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16"})
  void advanceLeavesWhatAPrefillOverTheAcceptedLeaves(DType type) {
    int most = 70;
    try (Problem p = drafts(1, type, most)) {
      int[] slots = {5, -1, 2, 0};
      for (int first = 0; first <= most; first++) {
        int[] accepted = {first, 3, most - first, Math.min(first, 33)};
        Tensor pool = pool(p);
        Tensor expected = pool(p);
        for (int row = 0; row < ROWS; row++) {
          if (slots[row] >= 0) {
            attention()
                .prefill(
                    p.q.narrow(0, row, 1).narrow(1, 0, accepted[row]),
                    p.k.narrow(0, row, 1).narrow(1, 0, accepted[row]),
                    p.v.narrow(0, row, 1).narrow(1, 0, accepted[row]),
                    p.decay,
                    p.options,
                    expected.narrow(0, slots[row], 1),
                    p.out.narrow(0, row, 1).narrow(1, 0, accepted[row]));
          }
        }
        attention().advance(p.k, p.v, p.decay, p.options, pool, ints(p, slots), ints(p, accepted));
        assertThat(pool.toFloats()).as(Arrays.toString(accepted)).isEqualTo(expected.toFloats());
      }
    }
  }

  @Test
  void advanceTakesAllTokensAndStatesInOrderByDefault() {
    try (Problem p = drafts(2, DType.F32, 40)) {
      Tensor moved = p.scope.allocate(DType.F32, p.state.shape());
      moved.copyFrom(p.initial);
      p.prefill(attention());
      Options scaled = p.options.withScale(100);
      attention().advance(p.k, p.v, p.decay, scaled, moved, null, null);
      assertThat(moved.toFloats()).isEqualTo(p.state.toFloats());
    }
  }

  @Test
  void advanceByNothingChangesNothing() {
    try (Problem p = drafts(3, DType.F32, 5)) {
      Tensor pool = pool(p);
      float[] before = pool.toFloats();
      Tensor slots = ints(p, 5, 1, 2, 0);
      Tensor none = ints(p, 0, 0, 0, 0);
      attention().advance(p.k, p.v, p.decay, p.options, pool, slots, none);
      Tensor empty = p.k.narrow(1, 0, 0);
      attention().advance(empty, p.v.narrow(1, 0, 0), p.decay, p.options, pool, slots, null);
      attention().advance(p.k, p.v, p.decay, p.options, pool, ints(p, -1, -1, -1, -1), null);
      assertThat(pool.toFloats()).isEqualTo(before);
    }
  }

  @Test
  void draftsAcceptedInTurnGiveThePlainSequence() {
    try (Problem p = drafts(4, DType.F32, 60)) {
      Tensor slots = ints(p, 0, 1, 2, 3);
      Tensor out = p.scope.allocate(DType.F32, p.out.shape());
      Tensor pool = p.scope.allocate(DType.F32, p.state.shape());
      pool.copyFrom(p.initial);
      Random random = new Random(5);
      for (int from = 0; from < 60; ) {
        int drafted = Math.min(60 - from, 1 + random.nextInt(8));
        int accepted = random.nextInt(drafted + 1);
        Tensor k = p.k.narrow(1, from, drafted);
        Tensor v = p.v.narrow(1, from, drafted);
        Tensor to = out.narrow(1, from, drafted);
        Tensor q = p.q.narrow(1, from, drafted);
        attention().verify(q, k, v, p.decay, p.options, pool, slots, to);
        Tensor counts = ints(p, accepted, accepted, accepted, accepted);
        attention().advance(k, v, p.decay, p.options, pool, slots, counts);
        from += accepted;
      }
      p.prefill(attention());
      Closeness.assertNmse("out", out, p.out, 1e-12);
      Closeness.assertNmse("state", pool, p.state, 1e-12);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = drafts(6, DType.F32, 2)) {
      Tensor pool = pool(p);
      Tensor slots = ints(p, 5, -1, 2, 0);
      Tensor counts = ints(p, 0, 1, 2, 1);
      FlatMemory.assertFlat(
          "speculation",
          10_000,
          () -> {
            attention().verify(p.q, p.k, p.v, p.decay, p.options, pool, slots, p.out);
            attention().advance(p.k, p.v, p.decay, p.options, pool, slots, counts);
          });
    }
  }
}
