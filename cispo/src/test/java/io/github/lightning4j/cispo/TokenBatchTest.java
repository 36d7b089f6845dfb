package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Which tokens count, and whose arrays are whose. */
final class TokenBatchTest {
  private static final double NAN = Double.NaN;

  /** The second sequence counts as one though none of its tokens does. */
  @Test
  void ignoresWhatDoesNotCount() {
    double[][] logProbs = {{-1, NAN, -2}, {NAN}};
    double[][] old = {{-1.1, -5, -1.9}, {Double.NEGATIVE_INFINITY}};
    boolean[][] mask = {{true, false, true}, {false}};
    TokenBatch batch = TokenBatch.masked(logProbs, old, new double[] {2, 1}, mask);
    TokenBatch kept =
        TokenBatch.ragged(
            new double[][] {{-1, -2}}, new double[][] {{-1.1, -1.9}}, new double[] {2});
    assertThat(batch.counts().tokens()).isEqualTo(2);
    assertThat(batch.tokens(1)).isZero();
    assertThat(new Aggregation.SequenceMean().weights(batch)).containsExactly(0.25, 0.5);

    LossResult tokens = Cispo.trl(5).evaluate(batch);
    LossResult expected = Cispo.trl(5).evaluate(kept);
    assertThat(tokens.loss()).isEqualTo(expected.loss());
    assertThat(tokens.gradient()[0])
        .containsExactly(expected.gradient()[0][0], 0, expected.gradient()[0][1]);
    assertThat(tokens.gradient()[1]).containsExactly(0);

    for (PolicyLoss loss :
        new PolicyLoss[] {ClippedSurrogate.grpo(0.2), ClippedSurrogate.gspo(0.2, 0.2)}) {
      assertThat(loss.evaluate(batch).loss()).isEqualTo(loss.evaluate(kept).loss() / 2);
    }
  }

  static Stream<PolicyLoss> averages() {
    return Stream.of(
            new Aggregation.TokenMean(),
            new Aggregation.GroupMean(),
            new Aggregation.SequenceMean(),
            new Aggregation.FixedLength(4))
        .map(average -> Cispo.maxWeight(5).withAggregation(average).withKl(0.1));
  }

  /** A truncated sequence is one of B, and nothing else. */
  @ParameterizedTest
  @MethodSource("averages")
  void withoutTruncatedIsTheBatchCutByHand(PolicyLoss loss) {
    double[][] logProbs = {{-1, -2, -0.5}, {-3, -1}, {-0.7}};
    double[][] old = {{-1.1, -1.5, -0.6}, {-2, -1.2}, {-0.9}};
    double[] advantages = {2, 5, -1};
    boolean[][] cut = {{true, true, true}, {false, false}, {true}};
    int[] groups = {0, 1, 2};
    TokenBatch truncated =
        TokenBatch.ragged(logProbs, old, advantages)
            .withReference(old)
            .withGroups(groups)
            .withoutTruncated(new boolean[] {false, true, false});
    TokenBatch byHand =
        TokenBatch.masked(logProbs, old, advantages, cut).withReference(old).withGroups(groups);
    assertThat(truncated.counts()).isEqualTo(new BatchCounts(4, 3, new long[] {3, 0, 1}));
    LossResult result = loss.evaluate(truncated);
    assertThat(result.loss()).isEqualTo(loss.evaluate(byHand).loss());
    assertThat(result.gradient()).isDeepEqualTo(loss.evaluate(byHand).gradient());
    assertThat(result.gradient()[1]).containsExactly(0, 0);
    assertThat(result.gradient()[0]).doesNotContain(0);
    assertThat(result.diagnostics().tokens()).isEqualTo(new SignCounts(3, 1, 0));

    double[][] weights = {
      {1 / 4.0, 1 / 4.0}, {1 / 6.0, 1 / 2.0}, {1 / 9.0, 1 / 3.0}, {1 / 12.0, 1 / 12.0}
    };
    double[] ofLoss =
        weights[
            loss.aggregation() instanceof Aggregation.TokenMean
                ? 0
                : loss.aggregation() instanceof Aggregation.GroupMean
                    ? 1
                    : loss.aggregation() instanceof Aggregation.SequenceMean ? 2 : 3];
    double expected = 0;
    for (int i : new int[] {0, 2}) {
      for (int t = 0; t < logProbs[i].length; t++) {
        double d = old[i][t] - logProbs[i][t];
        double term = -Math.exp(-d) * advantages[i] * logProbs[i][t] + 0.1 * (Math.exp(d) - d - 1);
        expected += ofLoss[i / 2] * term;
      }
    }
    assertThat(result.loss()).isCloseTo(expected, within(1e-14));
  }

  @ParameterizedTest
  @MethodSource("averages")
  void aPartWithoutTokensHasNoLoss(PolicyLoss loss) {
    double[][] logProbs = {{-1, -2}};
    TokenBatch whole =
        TokenBatch.ragged(logProbs, logProbs, new double[] {1})
            .withReference(logProbs)
            .withEntropies(new double[][] {{1, 1}})
            .withGroups(new int[] {0});
    TokenBatch empty = whole.withoutTruncated(new boolean[] {true});
    assertThat(empty.counts()).isEqualTo(new BatchCounts(0, 1, new long[] {0}));
    BatchCounts global = BatchCounts.sum(List.of(whole.counts(), empty.counts()));
    LossResult none = loss.evaluate(empty.within(global));
    assertThat(none.loss()).isZero();
    assertThat(none.gradient()[0]).containsExactly(0, 0);
    Diagnostics of = none.diagnostics();
    assertThat(
            new double[] {
              of.clippedAbove(),
              of.clippedBelow(),
              of.meanRatio(),
              of.maxRatio(),
              of.effectiveSampleSize(),
              of.oldKl().k1(),
              of.referenceKl().orElseThrow().k3(),
              of.entropy().orElseThrow()
            })
        .containsOnly(0);
    LossResult some = loss.evaluate(whole.within(global));
    Diagnostics merged = Diagnostics.merge(List.of(of, some.diagnostics()));
    assertThat(merged.meanRatio()).isEqualTo(1);
    assertThat(merged.tokens().total()).isEqualTo(2);
  }

  @Test
  void countsRatiosOnBothSides() {
    double[][] old = {{-1, -1, -1, -1}};
    double[][] logProbs = {{-0.5, -1, -2, -3}};
    TokenBatch batch = TokenBatch.ragged(logProbs, old, new double[] {1});
    LossResult result = Cispo.paper(0.2, 0.2).evaluate(batch);
    assertThat(result.diagnostics().clippedAbove()).isEqualTo(0.25);
    assertThat(result.diagnostics().clippedBelow()).isEqualTo(0.5);
  }

  @Test
  void keepsItsOwnArrays() {
    double[][] logProbs = {{-1}};
    double[][] reference = {{-2}};
    double[][] weights = {{0.5}};
    double[][] entropies = {{0.7}};
    double[] advantages = {3};
    boolean[][] mask = {{true}};
    int[] groups = {0};
    TokenBatch batch =
        TokenBatch.masked(logProbs, logProbs, advantages, mask)
            .withReference(reference)
            .withImportance(weights)
            .withEntropies(entropies)
            .withGroups(groups);
    LossResult before = Cispo.maxWeight(5).withKl(0.1).evaluate(batch);
    for (double[][] table : new double[][][] {logProbs, reference, weights, entropies}) {
      table[0][0] = NAN;
    }
    advantages[0] = NAN;
    mask[0][0] = false;
    groups[0] = 7;
    batch.logProbs()[0][0] = NAN;
    batch.oldLogProbs()[0][0] = NAN;
    batch.mask()[0][0] = false;
    batch.counts().groupTokens()[0] = 7;
    LossResult after = Cispo.maxWeight(5).withKl(0.1).evaluate(batch);
    assertThat(after.loss()).isEqualTo(before.loss()).isNotNaN();
    assertThat(after.gradient()).isDeepEqualTo(before.gradient());
    assertThat(after.diagnostics().entropy()).hasValue(0.7);
    assertThat(after.diagnostics().groups()).isEqualTo(1);
  }
}
