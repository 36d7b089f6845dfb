package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.moe.Capacity.Priority;
import io.github.lightning4j.moe.balance.GlobalRouter;
import io.github.lightning4j.moe.balance.LoadStatistics;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A layer whose tokens lie in several groups, dispatched by the {@link GlobalRouter}. */
final class GlobalDispatchTest {
  private static final int GROUPS = 3;
  private static final int EACH = 20;
  private static final int EXPERTS = 4;

  @ParameterizedTest
  @EnumSource
  void groupsComputeForOneAnother(Priority priority) {
    int capacity = new Capacity(1, priority, 0).limit(EACH, 2, EXPERTS);
    try (Mixture all = new Mixture(GROUPS * EACH, 33, 24, EXPERTS, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      for (int t = 0; t < EACH; t++) {
        all.choose(t, 0, 1, all.weight.accessor().get(2L * t)); // group 0 is fond of expert 1
        all.choose(t, 1, 3, all.weight.accessor().get(2L * t + 1));
      }
      GlobalRouter router = GlobalRouter.of(counts(all), capacity);
      int[][] computed = new int[GROUPS][EXPERTS];
      double[] shares = all.weight.toDoubles();
      int alone = 0;
      long together = 0;
      for (int g = 0; g < GROUPS; g++) {
        DispatchPlan plan = new DispatchPlan();
        Tensor weight = part(all.weight, g);
        plan.build(part(all.index, g), EXPERTS, new Capacity(1, priority, 0), weight);
        alone += plan.size() - plan.kept();
        int[] to = router.dispatch(g, part(all.index, g), weight, priority, plan);
        for (int position = 0; position < to.length; position++) {
          computed[to[position]][plan.expert(plan.pair(position))]++;
        }
        for (int pair = 0; pair < plan.size(); pair++) {
          if (plan.position(pair) < 0) {
            shares[g * plan.size() + pair] = 0;
            together++;
          }
        }
        MixtureOfExperts.best()
            .forward(part(all.x, g), all.weights, plan, weight, workspace, part(all.out, g));
        assertThat(LoadStatistics.of(plan).dropped(1)).isEqualTo(router.dropped(g, 1));
      }
      assertThat(together).isLessThan(alone);
      for (int g = 0; g < GROUPS; g++) {
        for (int e = 0; e < EXPERTS; e++) {
          assertThat(computed[g][e]).isEqualTo(router.computed(g, e)).isLessThanOrEqualTo(capacity);
        }
      }
      double[] truth = all.truth(all.x.toDoubles(), shares, Mixture.doubles(all.weights));
      Closeness.assertNmse("all groups", all.out.toDoubles(), truth, 1e-10);
    }
  }

  private static int[][] counts(Mixture all) {
    DispatchPlan plan = new DispatchPlan();
    int[][] counts = new int[GROUPS][];
    Arrays.setAll(
        counts,
        g -> {
          plan.build(part(all.index, g), EXPERTS);
          return plan.counts();
        });
    return counts;
  }

  private static Tensor part(Tensor rows, int group) {
    return rows.narrow(0, (long) group * EACH, EACH);
  }
}
