package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.Gradients;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Gradients are the slopes of the values, at every token of a batch with ratios on all sides. */
final class FiniteDifferenceTest {
  private static final TokenBatch BATCH = Batches.random(5, 0.4);

  static Stream<PolicyLoss> derivatives() {
    return Stream.of(
        ClippedSurrogate.grpo(0.2),
        ClippedSurrogate.grpo(0.2).withKl(0.7),
        ClippedSurrogate.bnpo(0.2),
        ClippedSurrogate.dapo(0.2, 0.28).withKl(0.04),
        ClippedSurrogate.drGrpo(0.2, 40),
        Sapo.DEFAULT,
        new Sapo(3, 5, new Aggregation.GroupMean(), 0.7),
        ClippedSurrogate.gspo(0.1, 0.1),
        ClippedSurrogate.gspo(0.1, 0.1).withKl(0.7),
        new ClippedSurrogate(
            ClipRange.ofEpsilons(0.1, 0.2), RatioLevel.SEQUENCE, new Aggregation.TokenMean(), 0));
  }

  static Stream<PolicyLoss> cispos() {
    return Stream.of(
        Cispo.maxWeight(1.3),
        Cispo.paper(0.2, 0.28),
        Cispo.trl(5).withKl(0.7),
        Cispo.trl(5).withMinWeight(0.9),
        Cispo.bySign(new ClipRange(0.9, 1.2), new ClipRange(0.5, 1.05)),
        Cispo.scaleRl(1.3),
        Cispo.maxWeight(1.3).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28)),
        Cispo.maxWeight(1.3).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28)).withKl(0.7));
  }

  @ParameterizedTest
  @MethodSource("derivatives")
  void ofClippedSurrogatesAndSapo(PolicyLoss loss) {
    double[][] old = BATCH.oldLogProbs();
    assertGradient(loss, x -> loss.evaluate(dressed(Batches.with(BATCH, shaped(x), old))).loss());
  }

  /**
   * The ratio is a constant for CISPO's gradient: the sampling policy is moved along with the
   * learning one, which keeps it.
   */
  @ParameterizedTest
  @MethodSource("cispos")
  void ofCispoAtConstantRatios(PolicyLoss loss) {
    double[] start = Batches.flat(BATCH.logProbs());
    double[] old = Batches.flat(BATCH.oldLogProbs());
    assertGradient(
        loss,
        x -> {
          double[] moved = old.clone();
          for (int i = 0; i < moved.length; i++) {
            moved[i] += x[i] - start[i];
          }
          return loss.evaluate(dressed(Batches.with(BATCH, shaped(x), shaped(moved)))).loss();
        });
  }

  private static void assertGradient(PolicyLoss loss, ToDoubleFunction<double[]> value) {
    LossResult result = loss.evaluate(dressed(BATCH));
    double[] gradient = Batches.flat(result.gradient());
    assertThat(DoubleStream.of(gradient).anyMatch(g -> Math.abs(g) > 1e-3)).isTrue();
    Gradients.assertMatches(
        loss.toString(), value, Batches.flat(BATCH.logProbs()), gradient, gradient.length, 1e-9);
  }

  /** With groups, importance weights, and an advantage for each token. */
  private static TokenBatch dressed(TokenBatch batch) {
    double[][] importance = batch.oldLogProbs();
    double[][] advantages = batch.oldLogProbs();
    for (int i = 0; i < importance.length; i++) {
      for (int t = 0; t < importance[i].length; t++) {
        importance[i][t] = 0.5 + (3 * i + t) % 4;
        advantages[i][t] = batch.advantage(i, t) + 0.2 * ((i + 2 * t) % 3);
      }
    }
    return batch
        .withGroups(new int[] {0, 0, 1, 2, 2, 2})
        .withImportance(importance)
        .withTokenAdvantages(advantages);
  }

  private static double[][] shaped(double[] values) {
    return Batches.rows(values, BATCH.logProbs());
  }
}
