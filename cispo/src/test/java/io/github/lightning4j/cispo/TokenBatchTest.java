package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

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
