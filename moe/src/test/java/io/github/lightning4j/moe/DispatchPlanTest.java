package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.lang.management.ManagementFactory;
import java.nio.IntBuffer;
import org.junit.jupiter.api.Test;

final class DispatchPlanTest {
  @Test
  void sortsPairsByExpertAndKeepsTheOrderOfTokens() {
    try (Tensor index = Tensor.of(new int[] {3, 0, 0, 3, 4, 3}, 3, 2)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(index, 6);
      assertThat(plan.experts()).isEqualTo(6);
      assertThat(plan.tokens()).isEqualTo(3);
      assertThat(plan.slots()).isEqualTo(2);
      assertThat(plan.offsets()).containsExactly(0, 2, 2, 2, 5, 6, 6);
      assertThat(plan.counts()).containsExactly(2, 0, 0, 3, 1, 0);
      assertThat(plan.largest()).isEqualTo(3);
      int[] pairs = new int[6];
      plan.putPairs(IntBuffer.wrap(pairs));
      assertThat(pairs).containsExactly(1, 2, 0, 3, 5, 4);
      assertThat(plan.token(4)).isEqualTo(2);
    }
  }

  @Test
  void isAPermutationForEverySize() {
    DispatchPlan plan = new DispatchPlan();
    for (int tokens : new int[] {257, 1, 2, 3, 7, 64, 65, 129}) {
      for (int experts : new int[] {32, 1, 4, 8}) {
        for (int k : new int[] {1, Math.min(2, experts), experts}) {
          try (Mixture mixture = new Mixture(tokens, 1, 1, experts, k, DType.F32)) {
            plan.build(mixture.index, experts);
            assertSorted(plan, mixture.index.toLongs());
          }
        }
      }
    }
  }

  private static void assertSorted(DispatchPlan plan, long[] chosen) {
    assertThat(plan.size()).isEqualTo(chosen.length);
    for (int e = 0; e < plan.experts(); e++) {
      for (int position = plan.offset(e); position < plan.offset(e + 1); position++) {
        int pair = plan.pair(position);
        assertThat(chosen[pair]).isEqualTo(e);
        assertThat(plan.expert(pair)).isEqualTo(e);
        assertThat(plan.position(pair)).isEqualTo(position);
        if (position > plan.offset(e)) {
          assertThat(pair).isGreaterThan(plan.pair(position - 1));
        }
      }
    }
  }

  @Test
  void takesRowStridesAndSharedExperts() {
    try (Tensor wide = Tensor.of(new int[] {9, 1, 9, 9, 0, 9}, 2, 3)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(wide.narrow(1, 1, 1), 2);
      assertThat(plan.counts()).containsExactly(1, 1);
      assertThat(plan.pair(0)).isEqualTo(1);
      plan.buildShared(5);
      assertThat(plan.counts()).containsExactly(5);
      assertThat(plan.pair(4)).isEqualTo(4);
      plan.buildShared(0);
      assertThat(plan.size()).isZero();
    }
  }

  @Test
  void buildsAgainWithoutNewArrays() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Mixture mixture = new Mixture(4096, 1, 1, 32, 2, DType.F32)) {
      DispatchPlan plan = new DispatchPlan();
      for (int i = 0; i < 100; i++) {
        plan.build(mixture.index, 32);
      }
      long before = threads.getCurrentThreadAllocatedBytes();
      plan.build(mixture.index, 32);
      long bytes = threads.getCurrentThreadAllocatedBytes() - before;
      // Some small objects to look at the tensor; an array of the pairs would be 32 KiB.
      assertThat(bytes).isLessThan(4096);
    }
  }

  @Test
  void refusesWhatDoesNotFitAndIsThenEmpty() {
    try (MemoryScope scope = new MemoryScope()) {
      DispatchPlan plan = new DispatchPlan();
      Tensor index = scope.add(Tensor.of(new int[] {0, 1, 2, -1}, 2, 2));
      plan.build(index.narrow(0, 0, 1), 3);
      assertThat(plan.size()).isEqualTo(2);
      assertThatThrownBy(() -> plan.build(index, 3))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("index[1, 1]: expected 0 <= expert < 3, got -1");
      assertThat(plan.size()).isZero();
      assertThatThrownBy(() -> plan.build(index, 2))
          .hasMessage("index[1, 0]: expected 0 <= expert < 2, got 2");
      assertThatThrownBy(() -> plan.build(index, 1))
          .hasMessage("index: expected 1 <= k <= 1, got k = 2");
      assertThatThrownBy(() -> plan.build(index, 0)).hasMessage("experts: expected >= 1, got 0");
      assertThatThrownBy(() -> plan.build(scope.allocate(DType.I64, 2, 2), 3))
          .hasMessage("index: expected dtype I32, got I64");
      assertThatThrownBy(() -> plan.buildShared(-1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("tokens: expected >= 0, got -1");
      assertThatThrownBy(() -> plan.count(0)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }
}
