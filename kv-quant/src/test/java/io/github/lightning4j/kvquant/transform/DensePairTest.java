package io.github.lightning4j.kvquant.transform;

import static io.github.lightning4j.kvquant.transform.RandomPairs.gram;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

final class DensePairTest {
  private static double[] product(double[] a, double[] b, int n) {
    double[] c = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < n; k++) {
        for (int j = 0; j < n; j++) {
          c[i * n + j] += a[i * n + k] * b[k * n + j];
        }
      }
    }
    return c;
  }

  private static double[] transposed(double[] a, int n) {
    double[] t = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        t[j * n + i] = a[i * n + j];
      }
    }
    return t;
  }

  private static double[] damped(double[] a, int n) {
    double trace = 0;
    for (int i = 0; i < n; i++) {
      trace += a[i * n + i];
    }
    double[] d = a.clone();
    for (int i = 0; i < n; i++) {
      d[i * n + i] += DensePair.DAMPING * trace / n;
    }
    return d;
  }

  @Test
  void theInverseIsOne() {
    for (int dim : new int[] {1, 2, 16, 96, 128}) {
      DensePair pair = RandomPairs.of(dim, dim);
      double[] identity = product(pair.forward(), pair.inverse(), dim);
      for (int i = 0; i < dim * dim; i++) {
        assertThat(identity[i]).isCloseTo(i % (dim + 1) == 0 ? 1 : 0, within(1e-9));
      }
    }
  }

  /**
   * What the formula is for: both the transformed keys and the weight of their errors are spread
   * evenly over the channels, and both have the same matrix but for a factor.
   */
  @Test
  void keysAndTheWeightOfTheirErrorsAreSpreadEvenly() {
    int dim = 32;
    double[] weight = gram(1, dim);
    double[] second = gram(2, dim);
    DensePair pair = DensePair.wush(weight, second, dim, DensePair.DAMPING);
    double[] t = pair.forward();
    double[] keys = product(product(t, damped(second, dim), dim), transposed(t, dim), dim);
    double[] inverse = pair.inverse();
    double[] errors =
        product(product(transposed(inverse, dim), damped(weight, dim), dim), inverse, dim);
    double ratio = errors[0] / keys[0];
    double trace = 0;
    for (int i = 0; i < dim; i++) {
      assertThat(keys[i * dim + i]).isCloseTo(keys[0], within(1e-6 * keys[0]));
      trace += second[i * dim + i];
      for (int j = 0; j < dim; j++) {
        assertThat(errors[i * dim + j])
            .isCloseTo(ratio * keys[i * dim + j], within(1e-6 * errors[0]));
      }
    }
    assertThat(keys[0] * dim).isCloseTo(1.01 * trace, within(1e-6 * trace)); // the size is kept
  }

  @Test
  void refusesWhatWasNeverAccumulated() {
    assertThatThrownBy(() -> DensePair.wush(new double[16], gram(1, 4), 4, 0.01))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "weight: expected finite sums with a positive trace, got trace 0.0; was anything"
                + " accumulated?");
    assertThatThrownBy(() -> DensePair.wush(gram(1, 4), new double[9], 4, 0.01))
        .hasMessage("second: expected 4 x 4 elements, got 9");
    assertThatThrownBy(() -> DensePair.wush(gram(1, 4), gram(1, 4), 4, 0))
        .hasMessage("damping: expected > 0, got 0.0");
    assertThatThrownBy(() -> DensePair.wush(new double[100], new double[100], 10, 0.01))
        .hasMessageContaining("dim: expected 2^k or 12 2^k");
  }
}
