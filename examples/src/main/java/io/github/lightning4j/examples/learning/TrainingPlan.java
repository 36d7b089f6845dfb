package io.github.lightning4j.examples.learning;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.cispo.recipe.AdamWOptions;

/**
 * How a policy is trained, whatever its loss.
 *
 * @param task what it learns
 * @param width hidden units of the policy
 * @param groups prompts a rollout whose answers are trained on
 * @param answers sampled for each prompt
 * @param miniBatches a rollout is cut into, by groups
 * @param passes over a rollout; times {@code miniBatches}, the most updates it is used for
 * @param rollouts in all
 * @param optimizer its numbers
 */
public record TrainingPlan(
    SortingTask task,
    int width,
    int groups,
    int answers,
    int miniBatches,
    int passes,
    int rollouts,
    AdamWOptions optimizer) {
  /** What {@code minimax rl} does: up to 16 updates a rollout, as MiniMax-M1. */
  public static final TrainingPlan DEFAULT =
      new TrainingPlan(new SortingTask(4, 6), 64, 32, 16, 8, 2, 100, AdamWOptions.minimaxM1(2e-3));

  /** Checks the sizes. */
  public TrainingPlan {
    checkArgument(width >= 1, "width: expected >= 1, got %s", width);
    checkArgument(answers >= 2, "answers: expected >= 2, got %s", answers);
    checkArgument(passes >= 1, "passes: expected >= 1, got %s", passes);
    checkArgument(rollouts >= 1, "rollouts: expected >= 1, got %s", rollouts);
    checkArgument(
        miniBatches >= 1 && groups >= miniBatches,
        "groups: expected >= miniBatches = %s, got %s",
        miniBatches,
        groups);
  }

  /** The same for another number of rollouts. */
  public TrainingPlan withRollouts(int newRollouts) {
    return new TrainingPlan(
        task, width, groups, answers, miniBatches, passes, newRollouts, optimizer);
  }
}
