package io.github.lightning4j.nd4j.example;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.cispo.Cispo;
import io.github.lightning4j.cispo.ClippedSurrogate;
import io.github.lightning4j.nd4j.example.PolicyExample.Rollout;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The example learns, and what SameDiff makes of the loss's gradient is the loss's gradient. */
final class PolicyExampleTest {
  @Test
  void gradientsOfTheWeightsAreSlopesOfTheLoss() {
    PolicyExample policy = new PolicyExample(ClippedSurrogate.dapo(0.2, 0.28), 2);
    Rollout rollout = policy.sample();
    while (Arrays.stream(rollout.rewards()).sum() == 0) {
      rollout = policy.sample();
    }
    Nd4j.getRandom().setSeed(5);
    INDArray w = policy.graph().getVariable("w").getArr();
    w.addi(Nd4j.randn(w.dataType(), w.shape()).muli(0.05)); // off-policy
    INDArray dLogProb = Nd4j.create(PolicyExample.flat(policy.evaluate(rollout).gradient()));
    Map<String, INDArray> fed =
        Map.of(
            "x", PolicyExample.x(), "chosen", PolicyExample.chosen(rollout), "dLogProb", dLogProb);
    INDArray gradient = policy.graph().calculateGradients(fed, "w").get("w").dup();
    double largest = gradient.amaxNumber().doubleValue();
    assertThat(largest).isGreaterThan(1e-3);
    double h = 1e-6;
    for (int row = 0; row < w.rows(); row++) {
      for (int column = 0; column < w.columns(); column++) {
        double at = w.getDouble(row, column);
        w.putScalar(row, column, at + h);
        double up = policy.evaluate(rollout).loss();
        w.putScalar(row, column, at - h);
        double down = policy.evaluate(rollout).loss();
        w.putScalar(row, column, at);
        assertThat(gradient.getDouble(row, column))
            .as("w[%d, %d]", row, column)
            .isCloseTo((up - down) / (2 * h), within(1e-6 * largest));
      }
    }
  }

  @Test
  void cispoTeachesThePolicyTheAnswers() {
    PolicyExample policy = new PolicyExample(Cispo.maxWeight(5), 1);
    double first = policy.step();
    double last = 0;
    for (int rollout = 0; rollout < 40; rollout++) {
      last = policy.step();
    }
    assertThat(first).isLessThan(0.1);
    assertThat(last).isGreaterThan(0.9);
  }
}
