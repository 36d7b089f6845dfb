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

  static Stream<PolicyLoss> clippedSurrogates() {
    return Stream.of(
        ClippedSurrogate.grpo(0.2),
        ClippedSurrogate.grpo(0.2).withKl(0.7),
        ClippedSurrogate.bnpo(0.2),
        ClippedSurrogate.dapo(0.2, 0.28).withKl(0.04),
        ClippedSurrogate.drGrpo(0.2, 40),
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
        Cispo.maxWeight(1.3).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28)),
        Cispo.maxWeight(1.3).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28)).withKl(0.7));
  }

  @ParameterizedTest
  @MethodSource("clippedSurrogates")
  void ofClippedSurrogates(PolicyLoss loss) {
    double[][] old = BATCH.oldLogProbs();
    assertGradient(loss, x -> loss.evaluate(Batches.with(BATCH, shaped(x), old)).loss());
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
          return loss.evaluate(Batches.with(BATCH, shaped(x), shaped(moved))).loss();
        });
  }

  private static void assertGradient(PolicyLoss loss, ToDoubleFunction<double[]> value) {
    LossResult result = loss.evaluate(BATCH);
    double[] gradient = Batches.flat(result.gradient());
    assertThat(DoubleStream.of(gradient).anyMatch(g -> Math.abs(g) > 1e-3)).isTrue();
    Gradients.assertMatches(
        loss.toString(), value, Batches.flat(BATCH.logProbs()), gradient, gradient.length, 1e-9);
  }

  private static double[][] shaped(double[] values) {
    return Batches.rows(values, BATCH.logProbs());
  }
}
