package io.github.lightning4j.examples.learning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

final class DigitPolicyTest {
  private static final SortingTask TASK = new SortingTask(3, 4);

  private final SplittableRandom random = new SplittableRandom(1);
  private final DigitPolicy policy = new DigitPolicy(TASK, 5, random);
  private final int[] prompt = {2, 0, 2};

  @Test
  void gradientsAreSlopes() {
    Sample sample = policy.sample(prompt, random);
    double[] dLogProbs = {0.5, -1, 2};
    double[] gradient = new double[policy.parameters().length];
    policy.backward(sample, dLogProbs, gradient);
    double[] parameters = policy.parameters();
    double h = 1e-5;
    for (int i = 0; i < parameters.length; i++) {
      double at = parameters[i];
      parameters[i] = at + h;
      double up = weighted(sample, dLogProbs);
      parameters[i] = at - h;
      double down = weighted(sample, dLogProbs);
      parameters[i] = at;
      assertThat(gradient[i]).as("parameter %s", i).isCloseTo((up - down) / (2 * h), within(1e-8));
    }
    assertThat(Arrays.stream(gradient).filter(g -> g != 0).count()).isGreaterThan(50);
  }

  private double weighted(Sample sample, double[] weights) {
    double[] logProbs = policy.logProbs(sample);
    return weights[0] * logProbs[0] + weights[1] * logProbs[1] + weights[2] * logProbs[2];
  }

  /** Each answer comes as often as its probability says. */
  @Test
  void samplesFromItsDistribution() {
    int runs = 20_000;
    int hits = 0;
    Sample first = policy.sample(prompt, random);
    for (int i = 0; i < runs; i++) {
      hits += Arrays.equals(policy.sample(prompt, random).answer(), first.answer()) ? 1 : 0;
    }
    double probability = Math.exp(Arrays.stream(first.logProbs()).sum());
    double deviation = Math.sqrt(probability * (1 - probability) / runs);
    assertThat(hits / (double) runs).isCloseTo(probability, within(4 * deviation));
  }

  @Test
  void rewardsTheWholeAnswerOnly() {
    assertThat(TASK.reward(prompt, new int[] {0, 2, 2})).isEqualTo(1);
    assertThat(TASK.reward(prompt, new int[] {0, 2, 3})).isZero();
    assertThat(prompt).containsExactly(2, 0, 2);
  }
}
