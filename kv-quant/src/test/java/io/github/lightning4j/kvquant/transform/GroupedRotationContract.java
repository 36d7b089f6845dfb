package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.GoldenCase;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What {@link GroupedRotation} must do, whichever kernels it runs. */
abstract class GroupedRotationContract {
  abstract Backend backend();

  private static GroupedBasis shuffled(int kvHeads, int headDim, int heads) {
    GroupedBasis basis = GroupedBasis.of(kvHeads, headDim, heads);
    Random random = new Random(kvHeads + headDim);
    double[] means = random.doubles(kvHeads * headDim).toArray();
    return basis.orderedBy(means, PermutationScope.LAYER);
  }

  @Test
  void restoresWhatItRotated() {
    int[][] sizes = {{8, 64, 4}, {8, 128, 4}, {2, 128, 4}, {3, 96, 2}, {1, 8, 1}, {6, 4, 3}};
    for (int[] size : sizes) {
      try (MemoryScope scope = new MemoryScope()) {
        GroupedBasis basis = shuffled(size[0], size[1], size[2]);
        GroupedRotation rotation = scope.add(GroupedRotation.of(basis, backend()));
        int width = size[0] * size[1];
        Tensor wide = scope.add(Cases.normal(1, DType.F32, 9, width + 3));
        Tensor k = wide.narrow(1, 2, width);
        Tensor rotated = scope.allocate(DType.F32, 9, width);
        Tensor stored = scope.allocate(DType.F32, 9, width);
        Tensor back = scope.allocate(DType.F32, 9, width);
        rotation.rotate(k, rotated, stored);
        rotation.restore(stored, back);
        Closeness.assertNmse(basis.toString(), back, k, 1e-12);
        float[] before = rotated.toFloats();
        float[] after = stored.toFloats();
        int[] order = basis.permutation();
        for (int i = 0; i < width; i++) {
          assertThat(after[i]).isEqualTo(before[order[i]]);
        }
      }
    }
  }

  @Test
  void rotatesAsTheFixture() {
    try (MemoryScope scope = new MemoryScope();
        GoldenCase golden = new GoldenCase(GroupedRotationContract.class, "rotatekv")) {
      GroupedBasis basis = FixtureBasis.of(golden);
      GroupedRotation rotation = scope.add(GroupedRotation.of(basis, backend()));
      Tensor k = golden.tensor("k");
      Tensor rotated = scope.allocate(DType.F32, k.shape());
      Tensor stored = scope.allocate(DType.F32, k.shape());
      rotation.rotate(k, rotated, stored);
      Closeness.assertWithin(
          "k_stored",
          stored.toDoubles(),
          golden.tensor("k_stored").toDoubles(),
          golden.tolerance("k_stored"));
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor k = scope.add(Cases.normal(1, DType.F32, 3, 256));
      Tensor out = scope.allocate(DType.F32, 3, 256);
      FlatMemory.assertFlat(
          "make, rotate, restore, close",
          1_000,
          () -> {
            try (GroupedRotation rotation = GroupedRotation.of(shuffled(4, 64, 4), backend())) {
              rotation.rotate(k, k, out);
              rotation.restore(out, k);
            }
          });
    }
  }
}
