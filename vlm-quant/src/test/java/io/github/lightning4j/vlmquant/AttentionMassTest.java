package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.EnumMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class AttentionMassTest {
  private static final int LENGTH = 50;
  private static final int HEADS = 4;
  private static final int DIM = 8;
  private static final int WINDOW = 6;
  private static final long[] PIVOTS = {2, 30};

  private static TokenClass[] classes() {
    TokenClass[] classes = new TokenClass[LENGTH];
    for (int t = 0; t < LENGTH; t++) {
      classes[t] = t >= 10 && t < 35 ? TokenClass.VISUAL : TokenClass.TEXT;
    }
    return classes;
  }

  private static TokenClass classAt(int s, int t) {
    if (s > t - WINDOW) {
      return TokenClass.RECENT;
    }
    return s == 2 || s == 30 ? TokenClass.PIVOT : classes()[s];
  }

  /** One key head, by the definition. */
  private static Map<TokenClass, Double> expected(Tensor q, Tensor k, int first) {
    double[] queries = q.toDoubles();
    double[] keys = k.toDoubles();
    Map<TokenClass, Double> mass = new EnumMap<>(TokenClass.class);
    int rows = (LENGTH - first) * HEADS;
    for (int t = first; t < LENGTH; t++) {
      for (int h = 0; h < HEADS; h++) {
        double[] weights = new double[t + 1];
        double total = 0;
        for (int s = 0; s <= t; s++) {
          double dot = 0;
          for (int i = 0; i < DIM; i++) {
            dot += queries[(t * HEADS + h) * DIM + i] * keys[s * DIM + i];
          }
          weights[s] = Math.exp(0.3 * dot);
          total += weights[s];
        }
        for (int s = 0; s <= t; s++) {
          mass.merge(classAt(s, t), weights[s] / total / rows, Double::sum);
        }
      }
    }
    return mass;
  }

  @Test
  void isThatOfTheDefinition() {
    try (Tensor q = Cases.normal(1, DType.F32, LENGTH, HEADS, DIM);
        Tensor k = Cases.normal(2, DType.F32, LENGTH, 1, DIM)) {
      AttentionMass mass = new AttentionMass(WINDOW);
      assertThat(mass.shares()).containsOnlyKeys(TokenClass.values()).containsValue(0.0);
      mass.add(q, k, 0.3f, classes(), PIVOTS, 40);
      Map<TokenClass, Double> expected = expected(q, k, 40);
      assertThat(mass.shares()).containsOnlyKeys(expected.keySet());
      expected.forEach(
          (tokenClass, share) ->
              assertThat(mass.shares().get(tokenClass)).isCloseTo(share, within(1e-7)));
      double sum = mass.shares().values().stream().mapToDouble(Double::doubleValue).sum();
      assertThat(sum).isCloseTo(1, within(1e-12));
      mass.add(q, k, 0.3f, classes(), PIVOTS, 40); // the same again
      assertThat(mass.shares().get(TokenClass.PIVOT))
          .isCloseTo(expected.get(TokenClass.PIVOT), within(1e-7));
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    AttentionMass mass = new AttentionMass(WINDOW);
    try (Tensor q = Cases.normal(1, DType.F32, LENGTH, HEADS, DIM);
        Tensor k = Cases.normal(2, DType.F32, LENGTH, 1, DIM)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> mass.add(q, k, 1, new TokenClass[3], PIVOTS, 0))
          .withMessage("classes: expected 50, one for each token, got 3");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> mass.add(q, k, 1, classes(), new long[] {50}, 0))
          .withMessage("pivots: expected 0 <= token < 50, got 50");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> mass.add(q, k, 1, classes(), PIVOTS, 51))
          .withMessage("first: expected 0 to 50, got 51");
      q.accessor().set(LENGTH * HEADS * DIM - 1, Double.NaN);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> mass.add(q, k, 1, classes(), PIVOTS, 0))
          .withMessageContaining("expected finite scores");
      assertThat(mass.shares()).containsEntry(TokenClass.TEXT, 0.0);
    }
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new AttentionMass(-1))
        .withMessage("recentWindow: expected >= 0, got -1");
  }
}
