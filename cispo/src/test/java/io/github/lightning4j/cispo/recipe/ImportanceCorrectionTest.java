package io.github.lightning4j.cispo.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.cispo.Cispo;
import io.github.lightning4j.cispo.TokenBatch;
import io.github.lightning4j.cispo.recipe.ImportanceCorrection.Action;
import io.github.lightning4j.cispo.recipe.ImportanceCorrection.Level;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

final class ImportanceCorrectionTest {
  private static final Offset<Double> CLOSE = within(1e-14);
  private static final double NAN = Double.NaN;

  /** Ratios 2, 1/8, 4 (products 1) and 4, 2 (product 8); the last column does not count. */
  private static final double[][] RATIOS = {{2, 0.125, 4, NAN}, {4, 2, NAN}};

  private static final boolean[][] MASK = {{true, true, true, false}, {true, true, false}};

  private static ImportanceWeights weigh(ImportanceCorrection correction) {
    double[][] trainer = {{-1, -2, -3, NAN}, {-1, -2, NAN}};
    double[][] generator = {{-1, -2, -3, NAN}, {-1, -2, NAN}};
    for (int i = 0; i < RATIOS.length; i++) {
      for (int t = 0; t < RATIOS[i].length; t++) {
        generator[i][t] -= Math.log(RATIOS[i][t]);
      }
    }
    return correction.weigh(trainer, generator, MASK);
  }

  private static void assertWeights(ImportanceWeights of, double[] first, double[] second) {
    assertThat(of.weights()[0]).containsExactly(first, CLOSE);
    assertThat(of.weights()[1]).containsExactly(second, CLOSE);
  }

  @Test
  void truncatesTokens() {
    ImportanceWeights of = weigh(ImportanceCorrection.truncated(Level.TOKEN, 3));
    assertWeights(of, new double[] {2, 0.125, 3, 1}, new double[] {3, 2, 1});
    assertThat(of.changed()).isEqualTo(0.4);
    double sum = 2 + 0.125 + 3 + 3 + 2;
    double squares = 4 + 0.125 * 0.125 + 9 + 9 + 4;
    assertThat(of.effectiveSampleSize()).isCloseTo(sum * sum / (5 * squares), CLOSE);
  }

  @Test
  void masksTokens() {
    ImportanceWeights of = weigh(new ImportanceCorrection(Level.TOKEN, Action.MASK, 0.5, 3));
    assertWeights(of, new double[] {2, 0, 0, 1}, new double[] {0, 2, 1});
    assertThat(of.changed()).isEqualTo(0.6);
  }

  @Test
  void truncatesSequences() {
    ImportanceWeights of = weigh(ImportanceCorrection.truncated(Level.SEQUENCE, 3));
    assertWeights(of, new double[] {1, 1, 1, 1}, new double[] {3, 3, 1});
  }

  @Test
  void masksSequences() {
    ImportanceWeights of = weigh(ImportanceCorrection.masked(Level.SEQUENCE, 3));
    assertWeights(of, new double[] {1, 1, 1, 1}, new double[] {0, 0, 1});
    assertThat(of.maxRatio()).isCloseTo(8, CLOSE);
    assertThat(of.changed()).isEqualTo(0.4);
  }

  @Test
  void raisesToTheLowerBound() {
    ImportanceWeights of = weigh(new ImportanceCorrection(Level.TOKEN, Action.TRUNCATE, 0.5, 3));
    assertThat(of.weights()[0][1]).isEqualTo(0.5);
  }

  /** Of the ratios as they were, before any bound. */
  @Test
  void tellsHowFarApartThePoliciesAre() {
    ImportanceWeights of = weigh(ImportanceCorrection.truncated(Level.TOKEN, 1));
    double logs = Math.log(2 * 0.125 * 4 * 4 * 2);
    assertThat(of.meanRatio()).isCloseTo((2 + 0.125 + 4 + 4 + 2) / 5, CLOSE);
    assertThat(of.maxRatio()).isCloseTo(4, CLOSE);
    assertThat(of.k1()).isCloseTo(-logs / 5, CLOSE);
    assertThat(of.k3()).isCloseTo((12.125 - 5 - logs) / 5, CLOSE);
    double squares = 4 + 0.125 * 0.125 + 16 + 16 + 4;
    assertThat(of.chiSquare()).isCloseTo(squares / 5 - 1, CLOSE);
    assertThat(of.perplexityRatio()).isCloseTo(Math.exp(-logs / 5), CLOSE);
  }

  @Test
  void weightsScaleTheSurrogate() {
    double[][] logProbs = {{-1, -2}};
    TokenBatch batch = TokenBatch.ragged(logProbs, logProbs, new double[] {1});
    double[][] plain = Cispo.maxWeight(5).evaluate(batch).gradient();
    TokenBatch weighed = batch.withImportance(new double[][] {{3, 0}});
    double[][] corrected = Cispo.maxWeight(5).evaluate(weighed).gradient();
    assertThat(corrected[0]).containsExactly(3 * plain[0][0], 0);
  }

  @Test
  void equalPoliciesNeedNone() {
    double[][] same = {{-1, -2, -3}};
    ImportanceWeights of =
        ImportanceCorrection.masked(Level.SEQUENCE, 3)
            .weigh(same, same, new boolean[][] {{true, true, true}});
    assertThat(of.weights()[0]).containsOnly(1);
    assertThat(of.k1()).isZero();
    assertThat(of.effectiveSampleSize()).isEqualTo(1);
  }

  @Test
  void refusesWhatDoesNotFit() {
    ImportanceCorrection correction = ImportanceCorrection.truncated(Level.TOKEN, 3);
    double[][] one = {{-1, -2}};
    boolean[][] mask = {{true, true}};
    assertThatThrownBy(() -> correction.weigh(one, new double[][] {{-1, NAN}}, mask))
        .hasMessage("generator[0][1]: expected a finite log-probability, got NaN");
    assertThatThrownBy(() -> correction.weigh(new double[][] {{-1, NAN}}, one, mask))
        .hasMessage("trainer[0][1]: expected a finite log-probability, got NaN");
    assertThatThrownBy(() -> correction.weigh(one, new double[][] {{-1}}, mask))
        .hasMessage("generator[0]: expected 2 as trainer has, got 1");
    assertThatThrownBy(() -> correction.weigh(one, one, new boolean[0][]))
        .hasMessage("mask: expected 1 as trainer has, got 0");
    assertThatThrownBy(() -> correction.weigh(one, one, new boolean[][] {{false, false}}))
        .hasMessage("mask: expected a token that counts in one of 1 sequences, got none");
    assertThatThrownBy(() -> ImportanceCorrection.truncated(Level.TOKEN, 0))
        .hasMessage("max: expected > 0 and >= min = 0.0, got 0.0");
    assertThatThrownBy(() -> new ImportanceCorrection(Level.TOKEN, Action.MASK, -1, 1))
        .hasMessage("min: expected >= 0, got -1.0");
  }
}
