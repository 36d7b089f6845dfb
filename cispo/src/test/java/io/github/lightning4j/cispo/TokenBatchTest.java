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
    assertThat(batch.tokens()).isEqualTo(2);
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
    assertThat(result.clippedAbove()).isEqualTo(0.25);
    assertThat(result.clippedBelow()).isEqualTo(0.5);
    assertThat(result.clipped()).isEqualTo(0.75);
  }

  @Test
  void keepsItsOwnArrays() {
    double[][] logProbs = {{-1}};
    double[][] reference = {{-2}};
    double[] advantages = {3};
    boolean[][] mask = {{true}};
    TokenBatch batch =
        TokenBatch.masked(logProbs, logProbs, advantages, mask).withReference(reference);
    logProbs[0][0] = NAN;
    reference[0][0] = NAN;
    advantages[0] = NAN;
    mask[0][0] = false;
    batch.logProbs()[0][0] = NAN;
    batch.oldLogProbs()[0][0] = NAN;
    batch.referenceLogProbs()[0][0] = NAN;
    batch.advantages()[0] = NAN;
    batch.mask()[0][0] = false;
    assertThat(batch.logProbs()).isDeepEqualTo(new double[][] {{-1}});
    assertThat(batch.oldLogProbs()).isDeepEqualTo(new double[][] {{-1}});
    assertThat(batch.referenceLogProbs()).isDeepEqualTo(new double[][] {{-2}});
    assertThat(batch.advantages()).containsExactly(3);
    assertThat(batch.mask()[0]).containsExactly(true);
  }
}
