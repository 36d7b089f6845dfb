package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.testkit.Closeness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the losses are to one another. */
final class IdentitiesTest {
  private static final double INFINITY = Double.POSITIVE_INFINITY;

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void cispoWithoutCapIsReinforceWithImportanceWeights(long seed) {
    TokenBatch batch = Batches.random(seed, 1);
    double[][] gradient = new double[batch.sequences()][];
    double value = 0;
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = new double[batch.length(i)];
      for (int t = 0; t < gradient[i].length; t++) {
        if (batch.mask()[i][t]) {
          double logProb = batch.logProbs()[i][t];
          double importance = Math.exp(logProb) / Math.exp(batch.oldLogProbs()[i][t]);
          gradient[i][t] = -importance * batch.advantage(i, t) / batch.counts().tokens();
          value += gradient[i][t] * logProb;
        }
      }
    }
    LossResult result = Cispo.maxWeight(INFINITY).evaluate(batch);
    assertThat(result.loss()).isCloseTo(value, within(1e-14));
    assertThat(result.diagnostics().above().total()).isZero();
    assertGradients(result, gradient, 1e-14);
    assertDiffers(Cispo.maxWeight(0.8).evaluate(batch), gradient);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void maskedCispoWithoutCapHasPposGradient(long seed) {
    TokenBatch batch = Batches.random(seed, 0.5);
    ClipRange region = ClipRange.ofEpsilons(0.2, 0.28);
    LossResult ppo = ClippedSurrogate.dapo(0.2, 0.28).evaluate(batch);
    LossResult masked = Cispo.maxWeight(INFINITY).withTrustRegion(region).evaluate(batch);
    assertGradients(masked, ppo.gradient(), 0);
    assertThat(ppo.diagnostics().clippedAbove()).isPositive();
    assertThat(ppo.diagnostics().clippedBelow()).isPositive();
    assertDiffers(Cispo.maxWeight(INFINITY).evaluate(batch), ppo.gradient());
  }

  /** With the usual cap the two still agree where the cap does not bite, inside the region. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void maskedCispoHasPposGradientInsideTheRegion(long seed) {
    TokenBatch batch = Batches.random(seed, 0.5);
    ClipRange region = ClipRange.ofEpsilons(0.2, 0.28);
    double[][] ppo = ClippedSurrogate.dapo(0.2, 0.28).evaluate(batch).gradient();
    double[][] masked = Cispo.ofWeights(region).withTrustRegion(region).evaluate(batch).gradient();
    int inside = 0;
    int differ = 0;
    for (int i = 0; i < ppo.length; i++) {
      for (int t = 0; t < ppo[i].length; t++) {
        double ratio = Math.exp(batch.logProbs()[i][t] - batch.oldLogProbs()[i][t]);
        if (ratio > region.lower() && ratio < region.upper()) {
          assertThat(masked[i][t]).isCloseTo(ppo[i][t], within(0.0));
          inside += ppo[i][t] != 0 ? 1 : 0;
        } else {
          differ += masked[i][t] != ppo[i][t] ? 1 : 0;
        }
      }
    }
    assertThat(inside).isPositive();
    assertThat(differ).isPositive();
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.28, 1, 4})
  void theTwoConventionsDifferByOne(double epsilonHigh) {
    assertThat(Cispo.paper(epsilonHigh)).isEqualTo(Cispo.trl(1 + epsilonHigh));
    assertThat(Cispo.paper(INFINITY, epsilonHigh)).isEqualTo(Cispo.maxWeight(1 + epsilonHigh));
  }

  /** Every converter against the bounds that its trainer computes. */
  @Test
  void convertersGiveTheBoundsOfTheirTrainers() {
    Aggregation tokens = new Aggregation.TokenMean();
    assertBounds(Cispo.trl(5), 0, 5, tokens);
    assertBounds(Cispo.msSwift(5), 0, 5, tokens);
    assertBounds(Cispo.scaleRl(5), 0, 5, new Aggregation.GroupMean());
    assertBounds(Cispo.verl(0.25, 0.5), 0.75, 1.5, tokens);
    assertBounds(Cispo.roll(0.25, 0.5), 0.75, 1.5, tokens);
    assertBounds(Cispo.slime(0.25, 4), 0.75, 5, new Aggregation.SequenceMean());
    assertBounds(Cispo.slime(1, 4), 0, 5, new Aggregation.SequenceMean());
    assertBounds(Cispo.openInstruct(4), 0, 5, tokens);
    assertBounds(Cispo.maxWeight(5).withMinWeight(0.5), 0.5, 5, tokens);
  }

  private static void assertBounds(Cispo loss, double low, double high, Aggregation aggregation) {
    ClipRange range = new ClipRange(low, high);
    assertThat(loss).isEqualTo(new Cispo(range, range, ClipRange.UNBOUNDED, aggregation, 0));
  }

  /** Tokens of one sign alone see the range of that sign. */
  @Test
  void boundsBySignAreOneRangeForEachSign() {
    ClipRange positive = new ClipRange(0.9, 1.1);
    ClipRange negative = new ClipRange(0.5, 2);
    TokenBatch batch = Batches.random(1, 0.5);
    double[][] both = Cispo.bySign(positive, negative).evaluate(batch).gradient();
    double[][] up = Cispo.ofWeights(positive).evaluate(batch).gradient();
    double[][] down = Cispo.ofWeights(negative).evaluate(batch).gradient();
    for (int i = 0; i < both.length; i++) {
      assertThat(both[i]).isEqualTo(batch.advantage(i, 0) > 0 ? up[i] : down[i]);
    }
    assertThat(Batches.flat(up)).isNotEqualTo(Batches.flat(down));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void gspoOfSingleTokensIsGrpo(long seed) {
    TokenBatch batch = firstTokens(Batches.random(seed, 0.5));
    LossResult gspo = ClippedSurrogate.gspo(0.2, 0.2).evaluate(batch);
    LossResult grpo = ClippedSurrogate.grpo(0.2).evaluate(batch);
    assertThat(gspo.loss()).isEqualTo(grpo.loss());
    assertGradients(gspo, grpo.gradient(), 0);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void onPolicyAllGradientsAreTheAdvantages(long seed) {
    TokenBatch random = Batches.random(seed, 0.5);
    TokenBatch batch = Batches.with(random, random.logProbs(), random.logProbs());
    double[][] cispo = Cispo.paper(0.2, 0.2).evaluate(batch).gradient();
    LossResult dapo = ClippedSurrogate.dapo(0.2, 0.2).evaluate(batch);
    assertGradients(dapo, cispo, 0);
    Sapo sapo = Sapo.DEFAULT.withAggregation(new Aggregation.TokenMean());
    assertGradients(sapo.evaluate(batch), cispo, 0);
    assertThat(cispo[0][0])
        .isCloseTo(-batch.advantage(0, 0) / batch.counts().tokens(), within(1e-16));
    assertThat(dapo.diagnostics().clippedAbove()).isZero();
  }

  private static TokenBatch firstTokens(TokenBatch batch) {
    double[][] first = new double[batch.sequences()][];
    double[][] old = new double[batch.sequences()][];
    double[] advantages = new double[batch.sequences()];
    for (int i = 0; i < first.length; i++) {
      first[i] = new double[] {batch.logProbs()[i][0]};
      old[i] = new double[] {batch.oldLogProbs()[i][0]};
      advantages[i] = batch.advantage(i, 0);
    }
    return TokenBatch.ragged(first, old, advantages);
  }

  private static void assertGradients(LossResult result, double[][] expected, double atol) {
    Closeness.assertWithin(
        "gradient", Batches.flat(result.gradient()), Batches.flat(expected), atol);
  }

  /** That such an equality does not hold of any loss. */
  private static void assertDiffers(LossResult result, double[][] expected) {
    assertThat(Closeness.maxDifference(Batches.flat(result.gradient()), Batches.flat(expected)))
        .isGreaterThan(1e-3);
  }
}
