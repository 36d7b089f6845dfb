package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.GoldenCase;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Fused weights compute what the plain ones do, in another basis. */
final class WeightFusionTest {
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor normal(long seed, long... shape) {
    return scope.add(Cases.normal(seed, DType.F64, shape));
  }

  /** {@code x W^T} in double. */
  private Tensor product(Tensor x, Tensor w) {
    int rows = (int) x.size(0);
    int in = (int) x.size(1);
    int out = (int) w.size(0);
    double[] a = x.toDoubles();
    double[] b = w.toDoubles();
    double[] y = new double[rows * out];
    for (int t = 0; t < rows; t++) {
      for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
          y[t * out + o] += a[t * in + i] * b[o * in + i];
        }
      }
    }
    return scope.add(Tensor.of(y, rows, out));
  }

  private Tensor like(Tensor w) {
    return scope.allocate(DType.F64, w.shape());
  }

  @Test
  void weightsOfTheFixture() {
    try (GoldenCase golden = new GoldenCase(WeightFusionTest.class, "rotatekv")) {
      GroupedBasis basis = FixtureBasis.of(golden);
      for (String name : new String[] {"w_k", "b_k", "w_v", "w_o"}) {
        Tensor weight = golden.tensor(name);
        Tensor fused = like(weight);
        switch (name) {
          case "w_v" -> WeightFusion.value(weight, basis.headDim(), fused);
          case "w_o" -> WeightFusion.output(weight, basis.headDim(), fused);
          default -> WeightFusion.key(weight, basis, fused);
        }
        Closeness.assertWithin(
            name,
            fused.toDoubles(),
            golden.tensor(name + "_fused").toDoubles(),
            golden.tolerance("fused"));
      }
    }
  }

  /** Restored, the keys of fused weights are those of the plain ones. */
  @Test
  void restoringUndoesTheFusionOfKeys() {
    double[] means = new Random(5).doubles(512).toArray();
    GroupedBasis basis = GroupedBasis.of(8, 64, 4).orderedBy(means, PermutationScope.LAYER);
    Tensor x = normal(1, 5, 40);
    Tensor w = normal(2, 512, 40);
    Tensor fused = like(w);
    WeightFusion.key(w, basis, fused);
    Tensor stored = scope.allocate(DType.F32, 5, 512);
    stored.copyFrom(product(x, fused));
    Tensor restored = scope.allocate(DType.F32, 5, 512);
    try (GroupedRotation rotation = GroupedRotation.of(basis, Backend.REFERENCE)) {
      rotation.restore(stored, restored);
    }
    Closeness.assertNmse("keys", restored.toDoubles(), product(x, w).toDoubles(), 1e-12);
  }

  /** Attention passes any mixture of values through; four query heads share a kv head. */
  @Test
  void valuesAndOutputsCancel() {
    int dim = 16;
    Tensor x = normal(1, 7, 24);
    Tensor wv = normal(2, 2 * dim, 24);
    Tensor wo = normal(3, 20, 8 * dim);
    Tensor fusedV = like(wv);
    Tensor fusedO = like(wo);
    WeightFusion.value(wv, dim, fusedV);
    WeightFusion.output(wo, dim, fusedO);
    assertSameLayer(x, wv, wo, fusedV, fusedO, dim, 1e-24);
    List<DensePair> pairs = new ArrayList<>();
    for (int h = 0; h < 2; h++) {
      pairs.add(RandomPairs.of(10 + h, dim));
    }
    WeightFusion.value(wv, pairs, fusedV);
    WeightFusion.output(wo, pairs, fusedO);
    assertSameLayer(x, wv, wo, fusedV, fusedO, dim, 1e-20);
  }

  private void assertSameLayer(
      Tensor x, Tensor wv, Tensor wo, Tensor fusedV, Tensor fusedO, int dim, double limit) {
    double[] plain = product(mixed(product(x, wv), dim, 4), wo).toDoubles();
    double[] fused = product(mixed(product(x, fusedV), dim, 4), fusedO).toDoubles();
    Closeness.assertNmse("layer", fused, plain, limit);
    double[] half = product(mixed(product(x, fusedV), dim, 4), wo).toDoubles();
    assertThat(Closeness.maxDifference(half, plain)).isGreaterThan(1); // each alone is wrong
  }

  /** Every query head takes its own mean of the values before each token. */
  private Tensor mixed(Tensor v, int dim, int group) {
    int tokens = (int) v.size(0);
    int kv = (int) v.size(1);
    double[] values = v.toDoubles();
    double[] out = new double[tokens * kv * group];
    for (int t = 0; t < tokens; t++) {
      for (int c = 0; c < kv * group; c++) {
        int head = c / dim;
        for (int s = 0; s <= t; s++) {
          double weight = 1 / (1.0 + head + t - s);
          out[t * kv * group + c] += weight * values[s * kv + head / group * dim + c % dim];
        }
      }
    }
    return scope.add(Tensor.of(out, tokens, (long) kv * group));
  }

  @Test
  void fusesInPlaceAndIntoNarrowTypes() {
    Tensor w = normal(2, 32, 6);
    Tensor apart = like(w);
    WeightFusion.value(w, 16, apart);
    Tensor narrow = scope.allocate(DType.BF16, 32, 6);
    WeightFusion.value(w, 16, narrow);
    WeightFusion.value(w, 16, w);
    assertThat(w.toDoubles()).isEqualTo(apart.toDoubles());
    Tensor rounded = scope.allocate(DType.BF16, 32, 6);
    rounded.copyFrom(apart);
    assertThat(narrow.toFloats()).isEqualTo(rounded.toFloats());
  }
}
