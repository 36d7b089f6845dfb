package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

/** What is reported, on a batch small enough to count by hand. */
final class DiagnosticsTest {
  /** Ratios 4, 1/4, 1 under a positive advantage; 4, 1/4 under a negative one; 2 under none. */
  private static final double[][] RATIOS = {{4, 0.25, 1}, {4, 0.25}, {2}};

  private static final double[] ADVANTAGES = {1, -1, 0};

  private static TokenBatch batch() {
    double[][] logProbs = {{-1, -2, -3}, {-1, -2}, {-1}};
    double[][] old = {{-1, -2, -3}, {-1, -2}, {-1}};
    for (int i = 0; i < old.length; i++) {
      for (int t = 0; t < old[i].length; t++) {
        old[i][t] -= Math.log(RATIOS[i][t]);
      }
    }
    return TokenBatch.ragged(logProbs, old, ADVANTAGES);
  }

  @Test
  void countsBySign() {
    Diagnostics of = ClippedSurrogate.dapo(0.2, 0.28).evaluate(batch()).diagnostics();
    assertThat(of.tokens()).isEqualTo(new SignCounts(3, 2, 1));
    assertThat(of.above()).isEqualTo(new SignCounts(1, 1, 1));
    assertThat(of.below()).isEqualTo(new SignCounts(1, 1, 0));
    assertThat(of.stopped()).isEqualTo(new SignCounts(1, 1, 1));
    assertThat(of.clippedAbove()).isEqualTo(0.5);
    assertThat(of.clippedBelow()).isCloseTo(1 / 3.0, within(1e-15));
  }

  @Test
  void countsAgainstTheBoundsOfTheSign() {
    Cispo loss = Cispo.bySign(new ClipRange(0, 5), new ClipRange(0.5, 3));
    Diagnostics of = loss.evaluate(batch()).diagnostics();
    assertThat(of.above()).isEqualTo(new SignCounts(0, 1, 0));
    assertThat(of.below()).isEqualTo(new SignCounts(0, 1, 0));
    assertThat(of.stopped()).isEqualTo(new SignCounts(0, 0, 1));
    ClipRange region = ClipRange.ofEpsilons(0.2, 0.28);
    Diagnostics masked = loss.withTrustRegion(region).evaluate(batch()).diagnostics();
    assertThat(masked.stopped()).isEqualTo(new SignCounts(1, 1, 1));
  }

  @Test
  void ratiosAndSampleSize() {
    Diagnostics of = Cispo.maxWeight(5).evaluate(batch()).diagnostics();
    double sum = 4 + 0.25 + 1 + 4 + 0.25 + 2;
    double squares = 16 + 0.0625 + 1 + 16 + 0.0625 + 4;
    assertThat(of.meanRatio()).isCloseTo(sum / 6, within(1e-14));
    assertThat(of.maxRatio()).isCloseTo(4, within(1e-14));
    assertThat(of.effectiveSampleSize()).isCloseTo(sum * sum / (6 * squares), within(1e-14));
  }

  @Test
  void divergences() {
    double log2 = Math.log(2);
    KlEstimates of = Cispo.maxWeight(5).evaluate(batch()).diagnostics().oldKl();
    assertThat(of.k1()).isCloseTo(-log2 / 6, within(1e-15));
    assertThat(of.k2()).isCloseTo((4 * 4 + 1) * log2 * log2 / 12, within(1e-15));
    double ratios = 4 + 0.25 + 1 + 4 + 0.25 + 2;
    assertThat(of.k3()).isCloseTo((ratios - 6 - log2) / 6, within(1e-14));
  }

  @Test
  void whatIsNotGivenIsAbsent() {
    Diagnostics of = Cispo.maxWeight(5).evaluate(batch()).diagnostics();
    assertThat(of.referenceKl()).isEmpty();
    assertThat(of.entropy()).isEmpty();
    assertThat(of.groups()).isZero();
    TokenBatch full = batch().withReference(batch().logProbs()).withGroups(new int[] {0, 0, 1});
    Diagnostics more = Cispo.maxWeight(5).evaluate(full).diagnostics();
    assertThat(more.referenceKl()).contains(new KlEstimates(0, 0, 0));
    assertThat(more.groups()).isEqualTo(2);
    assertThat(more.zeroVarianceGroups()).isEqualTo(1);
    assertThat(Diagnostics.merge(List.of(of, more)).referenceKl()).isEmpty();
  }

  @Test
  void mergingNothingIsRefused() {
    assertThatThrownBy(() -> Diagnostics.merge(List.of()))
        .hasMessage("parts: expected one or more, got none");
  }

  /** Beyond the clamp a ratio is e^20 whatever it was, and PPO has no gradient there. */
  @Test
  void clampsLogRatios() {
    double[][] logProbs = {{-1, -1, -100}};
    double[][] old = {{-100, -31, -1}};
    TokenBatch batch = TokenBatch.ragged(logProbs, old, new double[] {-1});
    LossResult ppo = ClippedSurrogate.bnpo(0.2).evaluate(batch);
    assertThat(ppo.diagnostics().maxRatio()).isEqualTo(Math.exp(20));
    assertThat(ppo.gradient()[0]).containsExactly(0, 0, 0);
    LossResult cispo = Cispo.maxWeight(3).evaluate(batch);
    assertThat(cispo.gradient()[0][0]).isEqualTo(cispo.gradient()[0][1]).isEqualTo(1);
    assertThat(cispo.gradient()[0][2]).isCloseTo(Math.exp(-20) / 3, within(1e-24));
  }
}
