package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** SAPO with tau 2 for positive and 4 for other advantages, computed by hand. */
final class SapoTest {
  /**
   * {@code s = 1 / (1 + e^(-tau (r - 1)))}: of 2 (1.5 - 1) = 1 it is 0.7310585786300049, of 4 (0.75
   * - 1) = -1 the rest to 1, 0.2689414213699951; {@code s (1 - s)} of both 0.19661193324148185. At
   * r = 1 it is 1/2, and the gradient -A.
   */
  @ParameterizedTest
  @CsvSource({
    "1.5, 3, -4.386351471780029, -3.5390147983466733",
    "0.75, -2, 0.5378828427399902, 1.1796715994488911",
    "1, 3, -3, -3",
    "1, -2, 1, 2",
    "1, 0, 0, 0"
  })
  void byHand(double ratio, double advantage, double value, double gradient) {
    double[][] old = {{-1 - Math.log(ratio)}};
    TokenBatch batch = TokenBatch.ragged(new double[][] {{-1}}, old, new double[] {advantage});
    LossResult result = new Sapo(2, 4, new Aggregation.TokenMean(), 0).evaluate(batch);
    assertThat(result.loss()).isCloseTo(value, within(1e-14));
    assertThat(result.gradient()[0][0]).isCloseTo(gradient, within(1e-14));
  }
}
