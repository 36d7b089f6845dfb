package io.github.lightning4j.moe.balance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity.Priority;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.balance.GlobalRouter.Transfer;
import java.util.Arrays;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

final class GlobalRouterTest {
  @Test
  void matchesOverflowAndRoomInTheOrderOfGroups() {
    // Capacity 4. Expert 0: overflow 3, 0, 2, 0 and room 0, 1, 0, 3. Expert 1: no overflow.
    GlobalRouter router = GlobalRouter.of(new int[][] {{7, 4}, {3, 0}, {6, 2}, {1, 4}}, 4);
    assertThat(router.transfers())
        .containsExactly(
            new Transfer(0, 0, 1, 1), new Transfer(0, 0, 3, 2), new Transfer(0, 2, 3, 1));
    assertThat(router.limits(0)).containsExactly(7, 4);
    assertThat(router.limits(2)).containsExactly(5, 2);
    assertThat(router.dropped(2, 0)).isEqualTo(1);
    assertThat(router.computed(3, 0)).isEqualTo(4);
    assertThat(router.sent(0, 0)).isEqualTo(3);
  }

  @Test
  void losesNothingOverfillsNothingAndDropsTheLeast() {
    Random random = new Random(3);
    for (int round = 0; round < 2000; round++) {
      int groups = 1 + random.nextInt(6);
      int experts = 1 + random.nextInt(4);
      int capacity = 1 + random.nextInt(9);
      int[][] counts = new int[groups][experts];
      for (int[] row : counts) {
        Arrays.setAll(row, e -> random.nextInt(1 + random.nextInt(20)));
      }
      assertPlan(GlobalRouter.of(counts, capacity), counts, capacity);
    }
  }

  private static void assertPlan(GlobalRouter router, int[][] counts, int capacity) {
    for (int e = 0; e < router.experts(); e++) {
      int demand = 0;
      int computed = 0;
      int dropped = 0;
      for (int g = 0; g < router.groups(); g++) {
        int in = 0;
        int out = 0;
        for (Transfer transfer : router.transfers()) {
          assertThat(transfer.pairs()).isPositive();
          in += transfer.expert() == e && transfer.to() == g ? transfer.pairs() : 0;
          out += transfer.expert() == e && transfer.from() == g ? transfer.pairs() : 0;
        }
        assertThat(out).isEqualTo(router.sent(g, e));
        assertThat(in == 0 || out == 0).as("a group sends or receives, not both").isTrue();
        assertThat(router.computed(g, e)).isBetween(0, capacity);
        assertThat(router.computed(g, e)).isEqualTo(counts[g][e] - router.dropped(g, e) - out + in);
        assertThat(router.limits(g)[e]).isEqualTo(counts[g][e] - router.dropped(g, e));
        demand += counts[g][e];
        computed += router.computed(g, e);
        dropped += router.dropped(g, e);
      }
      assertThat(computed + dropped).isEqualTo(demand);
      assertThat(dropped).isEqualTo(Math.max(0, demand - router.groups() * capacity));
    }
  }

  @Test
  void transfersNothingWithoutOverflow() {
    GlobalRouter router = GlobalRouter.of(new int[][] {{4, 0, 1}, {0, 4, 2}}, 4);
    assertThat(router.transfers()).isEmpty();
    assertThat(router.limits(0)).containsExactly(4, 0, 1);
    assertThat(router.limits(1)).containsExactly(0, 4, 2);
  }

  @Test
  void isTheSameOnEveryRankAndKeepsNoHoldOfTheCounts() {
    int[][] counts = {{7, 4}, {3, 0}, {6, 2}};
    GlobalRouter one = GlobalRouter.of(counts, 4);
    GlobalRouter two = GlobalRouter.of(new int[][] {{7, 4}, {3, 0}, {6, 2}}, 4);
    counts[0][0] = 0;
    assertThat(one.transfers()).isEqualTo(two.transfers()).isNotEmpty();
    for (int g = 0; g < 3; g++) {
      assertThat(one.limits(g)).isEqualTo(two.limits(g));
    }
  }

  @Test
  void staysSendsAndDropsInTheOrderOfWeights() {
    // Group 0: 5 pairs of expert 1 where there is room for 2; groups 1 and 2 have room for 1 each.
    GlobalRouter router = GlobalRouter.of(new int[][] {{1, 5}, {0, 1}, {2, 1}}, 2);
    try (Tensor index = Tensor.of(new int[] {1, 1, 0, 1, 1, 1}, 6, 1);
        Tensor weight = Tensor.of(new float[] {.3f, .9f, .1f, .5f, .2f, .5f}, 6, 1)) {
      DispatchPlan plan = new DispatchPlan();
      int[] groups = router.dispatch(0, index, weight, Priority.WEIGHT, plan);
      // Expert 1 ranks tokens 1, 3, 5, 0, 4: two stay, 5 goes to group 1, 0 to group 2, 4 is lost.
      assertThat(plan.counts()).containsExactly(1, 4);
      assertThat(plan.position(4)).isEqualTo(-1);
      assertThat(groups).hasSize(5);
      assertThat(groups[plan.position(2)]).isZero();
      assertThat(groups[plan.position(1)]).isZero();
      assertThat(groups[plan.position(3)]).isZero();
      assertThat(groups[plan.position(5)]).isEqualTo(1);
      assertThat(groups[plan.position(0)]).isEqualTo(2);
      groups = router.dispatch(0, index, weight, Priority.POSITION, plan);
      assertThat(plan.position(5)).isEqualTo(-1);
      assertThat(groups).containsExactly(0, 0, 0, 1, 2); // pairs 2, 0, 1, 3, 4
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    refused("counts: expected at least one group", () -> GlobalRouter.of(new int[0][], 1));
    refused("counts[0]: expected at least one expert", () -> GlobalRouter.of(new int[1][0], 1));
    refused(
        "counts[1]: expected 2 experts, got 1",
        () -> GlobalRouter.of(new int[][] {{1, 2}, {3}}, 1));
    refused(
        "counts[1][0]: expected >= 0, got -3", () -> GlobalRouter.of(new int[][] {{1}, {-3}}, 1));
    refused("capacity: expected >= 1, got 0", () -> GlobalRouter.of(new int[][] {{1}}, 0));
    GlobalRouter router = GlobalRouter.of(new int[][] {{1, 1}}, 1);
    try (Tensor index = Tensor.of(new int[] {1, 1}, 2, 1);
        Tensor weight = Tensor.of(new float[] {Float.NaN, 1}, 2, 1);
        Tensor numbers = Tensor.of(new float[] {2, 1}, 2, 1)) {
      DispatchPlan plan = new DispatchPlan();
      refused(
          "index: expected 1 pairs of expert 0, as counts say, got 0",
          () -> router.dispatch(0, index, numbers, Priority.WEIGHT, plan));
      refused(
          "weight[0, 0]: expected a number, got NaN",
          () -> router.dispatch(0, index, weight, Priority.WEIGHT, plan));
    }
    assertThatThrownBy(() -> router.limits(1)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
