package io.github.lightning4j.kvquant.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.GoldenCase;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class CalibratorTest {
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor normal(long seed, long... shape) {
    return scope.add(Cases.normal(seed, DType.F32, shape));
  }

  @Test
  void findsThePermutationOfTheFixture() {
    try (GoldenCase golden = new GoldenCase(CalibratorTest.class, "rotatekv")) {
      for (PermutationScope wanted : PermutationScope.values()) {
        GroupedBasis basis =
            GroupedBasis.of(
                golden.size("kv_heads"), golden.size("dim"), golden.size("group_heads"));
        var calibrator = new Calibrator(1, basis, wanted);
        Tensor k = golden.tensor("k_train");
        calibrator.addKeys(0, k.narrow(0, 0, 10));
        calibrator.addKeys(0, k.narrow(0, 10, k.size(0) - 10));
        Calibration calibration = calibrator.finish("hash", "corpus", "train");
        String name = wanted == PermutationScope.LAYER ? "permutation" : "permutation_group";
        LayerCalibration layer = calibration.layers().get(0);
        assertThat(layer.basis().permutation()).isEqualTo(ints(golden.tensor(name)));
        assertThat(calibration.source().tokens()).isEqualTo(k.size(0));
        if (wanted == PermutationScope.LAYER) {
          var other = new KvTransform.PreRopeGrouped(basis.heads(), PermutationScope.GROUP);
          assertThat(layer.basis(other).permutation())
              .isEqualTo(ints(golden.tensor("permutation_group")));
          assertThat(layer.basis(new KvTransform.PreRopeGrouped(basis.heads(), wanted)))
              .isEqualTo(layer.basis());
          assertThat(layer.basis(new KvTransform.PreRopeGrouped(1, wanted)).heads()).isEqualTo(1);
        }
        double sum = 0;
        for (int t = 0; t < k.size(0); t++) {
          sum += k.accessor().get(t * k.size(1) + 5);
        }
        assertThat((double) layer.keyMean()[5]).isCloseTo(sum / k.size(0), within(1e-6));
      }
    }
  }

  private static int[] ints(Tensor tensor) {
    int[] values = new int[(int) tensor.elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (int) tensor.accessor().getLong(i);
    }
    return values;
  }

  @Test
  void makesThePairsOfItsGrams() {
    int dim = 4;
    var calibrator = new Calibrator(1, GroupedBasis.of(2, dim, 1), PermutationScope.LAYER);
    Tensor q = normal(1, 50, 4, dim);
    Tensor k = normal(2, 50, 2, dim);
    Tensor v = normal(3, 50, 2, dim);
    Tensor wo = normal(4, 9, 4 * dim);
    calibrator.addKeys(0, k);
    calibrator.addScores(0, q.narrow(0, 0, 20), k.narrow(0, 0, 20));
    calibrator.addScores(0, q.narrow(0, 20, 30), k.narrow(0, 20, 30));
    calibrator.addValues(0, v);
    calibrator.outputProjection(0, wo);
    LayerCalibration layer = calibrator.finish("hash", "corpus", "train").layers().get(0);
    for (int h = 0; h < 2; h++) {
      DensePair keys =
          DensePair.wush(gram(q, 2 * h, 2, 2), gram(k, h, 1, 1), dim, DensePair.DAMPING);
      Tensor heads = wo.reshape(9, 4, dim);
      DensePair values =
          DensePair.wush(gram(heads, 2 * h, 2, 2), gram(v, h, 1, 1), dim, DensePair.DAMPING);
      // Equal eigenvectors may come with another sign: T^T T does not see it.
      assertClose(square(layer.keyPairs().get(h).forward(), dim), square(keys.forward(), dim));
      assertClose(square(layer.valuePairs().get(h).forward(), dim), square(values.forward(), dim));
    }
  }

  private static double[] gram(Tensor x, int first, int heads, double factor) {
    int dim = (int) x.size(2);
    double[] gram = new double[dim * dim];
    for (long t = 0; t < x.size(0); t++) {
      for (int h = first; h < first + heads; h++) {
        long at = t * x.stride(0) + h * x.stride(1);
        for (int i = 0; i < dim; i++) {
          for (int j = 0; j < dim; j++) {
            gram[i * dim + j] += factor * x.accessor().get(at + i) * x.accessor().get(at + j);
          }
        }
      }
    }
    return gram;
  }

  private static double[] square(double[] a, int n) {
    double[] s = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        for (int k = 0; k < n; k++) {
          s[i * n + j] += a[k * n + i] * a[k * n + j];
        }
      }
    }
    return s;
  }

  private static void assertClose(double[] actual, double[] expected) {
    assertThat(actual).containsExactly(expected, within(1e-9));
  }

  @Test
  void withoutQueriesThereAreNoPairs() {
    var calibrator = new Calibrator(2, GroupedBasis.of(2, 4, 1), PermutationScope.LAYER);
    calibrator.addKeys(0, normal(1, 3, 8));
    calibrator.addKeys(1, normal(1, 3, 2, 4));
    calibrator.addValues(1, normal(1, 3, 8)); // but no output projection
    for (LayerCalibration layer : calibrator.finish("hash", "corpus", "train").layers()) {
      assertThat(layer.keyPairs()).isEmpty();
      assertThat(layer.valuePairs()).isEmpty();
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    var calibrator = new Calibrator(2, GroupedBasis.of(2, 4, 1), PermutationScope.LAYER);
    assertThatThrownBy(() -> calibrator.addKeys(2, normal(1, 3, 8)))
        .hasMessage("layer: expected 0 <= layer < 2, got 2");
    assertThatThrownBy(() -> calibrator.addKeys(0, normal(1, 3, 9)))
        .hasMessage("k: expected shape [3, 8], got [3, 9]");
    assertThatThrownBy(() -> calibrator.addScores(0, normal(1, 3, 12), normal(1, 3, 8)))
        .hasMessage("q: expected a multiple of 2 kv heads of 4 channels, got rows of 12");
    assertThatThrownBy(() -> calibrator.addScores(0, normal(1, 3, 16), normal(1, 4, 8)))
        .hasMessage("k: expected 3 tokens as q has, got 4");
    calibrator.outputProjection(0, normal(1, 5, 16));
    assertThatThrownBy(() -> calibrator.outputProjection(0, normal(1, 5, 16)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("layer 0: its output projection was told already");
    calibrator.addKeys(0, normal(1, 3, 8));
    assertThatThrownBy(() -> calibrator.finish("hash", "corpus", "train"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("layer 1 has seen no keys; feed addKeys");
    Tensor bad = normal(1, 3, 8);
    bad.accessor().set(2 * 8 + 5, Double.NaN);
    assertThatThrownBy(() -> calibrator.addKeys(1, bad))
        .isInstanceOf(NonFiniteInputException.class)
        .hasMessage("key, layer 1, head 1, token 2, channel 1: expected a finite number, got NaN");
  }

  @Test
  void refusesTheTestSplit() {
    assertThatThrownBy(() -> new CalibrationSource("hash", "wikitext-2", "Test", 5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("split: expected one that nothing is measured on, such as 'train', got 'Test'");
    assertThatThrownBy(() -> new CalibrationSource(" ", "c", "train", 5))
        .hasMessage("modelHash: expected one, got a blank");
    assertThatThrownBy(() -> new CalibrationSource("hash", "c", "train", 0))
        .hasMessage("tokens: expected >= 1, got 0");
  }
}
