package io.github.lightning4j.examples.learning;

import io.github.lightning4j.cispo.LossResult;
import io.github.lightning4j.cispo.PolicyLoss;
import io.github.lightning4j.cispo.TokenBatch;
import io.github.lightning4j.cispo.recipe.Advantages;
import io.github.lightning4j.cispo.recipe.DynamicSampling;
import io.github.lightning4j.cispo.recipe.PassRateFilter;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Rollouts and updates of one policy under one loss. A rollout is sampled from the policy as it
 * stands, dynamically: groups of answers that are all wrong or all right are passed over. Then it
 * is trained on, mini-batch by mini-batch, while the policy moves away from the one that sampled.
 */
final class PolicyTraining {
  private final TrainingPlan plan;
  private final PolicyLoss loss;
  private final SplittableRandom random;
  private final DigitPolicy policy;
  private final AdamW optimizer;
  private double reward;
  private int updates;

  /**
   * What {@link #run} saw before each rollout's updates.
   *
   * @param updates {@code [rollouts]}: steps of the optimizer so far
   * @param rewards {@code [rollouts]}: mean rewards of the answers sampled
   */
  record Curve(int[] updates, double[] rewards) {}

  PolicyTraining(TrainingPlan plan, PolicyLoss loss, long seed) {
    this.plan = plan;
    this.loss = loss;
    this.random = new SplittableRandom(seed);
    this.policy = new DigitPolicy(plan.task(), plan.width(), random);
    this.optimizer = new AdamW(plan.optimizer(), policy.parameters().length);
  }

  /** Trains. Mini-batches that a small rollout leaves empty are no updates. */
  Curve run() {
    Curve curve = new Curve(new int[plan.rollouts()], new double[plan.rollouts()]);
    for (int r = 0; r < plan.rollouts(); r++) {
      List<List<Sample>> rollout = sample();
      curve.updates[r] = updates;
      curve.rewards[r] = reward;
      for (int pass = 0; pass < plan.passes(); pass++) {
        for (int m = 0; m < plan.miniBatches(); m++) {
          int from = rollout.size() * m / plan.miniBatches();
          int to = rollout.size() * (m + 1) / plan.miniBatches();
          if (to > from) {
            update(rollout.subList(from, to));
          }
        }
      }
    }
    return curve;
  }

  /** Groups to train on; all that were sampled on the way count for the reward. */
  private List<List<Sample>> sample() {
    DynamicSampling<List<Sample>> batch =
        new DynamicSampling<>(PassRateFilter.DYNAMIC_SAMPLING, plan.groups(), 4 * plan.groups());
    double sum = 0;
    while (batch.wantsMore()) {
      int[] prompt = plan.task().prompt(random);
      List<Sample> group = new ArrayList<>();
      for (int i = 0; i < plan.answers(); i++) {
        group.add(policy.sample(prompt, random));
      }
      double[] rewards = group.stream().mapToDouble(Sample::reward).toArray();
      sum += group.stream().mapToDouble(Sample::reward).sum();
      batch.offer(group, rewards);
    }
    reward = sum / batch.offered() / plan.answers();
    return batch.groups();
  }

  private void update(List<List<Sample>> groups) {
    List<Sample> samples = new ArrayList<>();
    List<Integer> of = new ArrayList<>();
    for (int g = 0; g < groups.size(); g++) {
      samples.addAll(groups.get(g));
      for (int i = 0; i < groups.get(g).size(); i++) {
        of.add(g);
      }
    }
    int[] group = of.stream().mapToInt(g -> g).toArray();
    double[] rewards = samples.stream().mapToDouble(Sample::reward).toArray();
    LossResult result =
        loss.evaluate(
            TokenBatch.ragged(
                    samples.stream().map(policy::logProbs).toArray(double[][]::new),
                    samples.stream().map(Sample::logProbs).toArray(double[][]::new),
                    Advantages.groupStandardized(rewards, group))
                .withGroups(group));
    double[] gradient = new double[policy.parameters().length];
    for (int i = 0; i < samples.size(); i++) {
      policy.backward(samples.get(i), result.gradient()[i], gradient);
    }
    optimizer.step(policy.parameters(), gradient);
    updates++;
  }
}
