package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * Every argument that does not fit is refused by name, and where sizes do not fit, those that do.
 */
final class TransformArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Hadamard hadamard = Hadamard.of(Backend.REFERENCE);
  private final Tensor fits = scope.allocate(DType.F32, 3, 96);

  @AfterEach
  void close() {
    scope.close();
  }

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  @Test
  void sizesThatHaveNoTransform() {
    assertRefused(
        () -> hadamard.apply(fits, 80, fits),
        "n: expected 2^k or 12 2^k channels, at most 4096, got 80; next to it fit 64 and 96");
    assertRefused(
        () -> hadamard.apply(fits, 8192, fits),
        "n: expected 2^k or 12 2^k channels, at most 4096, got 8192; next to it fit 4096");
    assertRefused(
        () -> GroupedBasis.of(8, 112, 4),
        "headDim: expected 2^k or 12 2^k channels, at most 4096, got 112; next to it fit 96 and"
            + " 128");
    assertThat(Hadamard.fits(36)).isFalse();
    assertThat(Hadamard.fits(0)).isFalse();
    assertThat(Hadamard.fits(6144)).isFalse();
    assertThat(Hadamard.fits(96)).isTrue();
  }

  @Test
  void widthOfTheRows() {
    assertRefused(
        () -> hadamard.apply(fits, 64, fits),
        "x: expected a width in blocks of 64 channels, got 96");
  }

  @Test
  void overlapOfTheOutput() {
    Tensor memory = scope.allocate(DType.F32, 4, 32);
    assertRefused(
        () -> hadamard.apply(memory.narrow(0, 0, 3), 32, memory.narrow(0, 1, 3)),
        "out: expected x itself or memory apart from it");
  }

  @Test
  void shapeAndTypeOfTheOutput() {
    assertRefused(
        () -> hadamard.apply(fits, 96, scope.allocate(DType.F32, 2, 96)),
        "out: expected shape [3, 96], got [2, 96]");
    assertRefused(
        () -> hadamard.apply(fits, 96, scope.allocate(DType.BF16, 3, 96)),
        "out: expected dtype F32, got BF16");
  }

  @Test
  void theLargestDivisorThatFitsIsTaken() {
    assertThat(GroupedBasis.of(8, 128, 4).heads()).isEqualTo(4);
    assertThat(GroupedBasis.of(2, 128, 4).heads()).isEqualTo(2);
    assertThat(GroupedBasis.of(6, 64, 4).heads()).isEqualTo(3); // 3 x 64 = 12 x 16
    assertThat(GroupedBasis.of(5, 64, 4).heads()).isEqualTo(1);
    assertThat(GroupedBasis.of(9, 96, 9).heads()).isEqualTo(1); // 9 x 96 and 3 x 96 have none
  }

  @Test
  void basisThatDoesNotFit() {
    assertRefused(
        () -> new GroupedBasis(8, 64, 3, new int[512]),
        "heads: expected a divisor of 8 kv heads, got 3");
    assertRefused(
        () -> new GroupedBasis(1, 4, 1, new int[] {0, 1, 1, 3}),
        "permutation[2]: expected each of 4 channels once, got 1");
    assertRefused(
        () -> new GroupedBasis(1, 4, 1, new int[] {0, 1, 4, 3}),
        "permutation[2]: expected each of 4 channels once, got 4");
    assertRefused(
        () -> new GroupedBasis(1, 4, 1, new int[3]), "permutation: expected 4 channels, got 3");
    assertRefused(() -> GroupedBasis.of(0, 4, 1), "kvHeads: expected >= 1, got 0");
    GroupedBasis basis = GroupedBasis.of(1, 4, 1);
    assertRefused(
        () -> basis.orderedBy(new double[3], PermutationScope.LAYER),
        "means: expected 4 channels, got 3");
    assertRefused(
        () -> basis.orderedBy(new double[] {0, 0, Double.NaN, 0}, PermutationScope.LAYER),
        "means[2]: expected a finite one");
  }

  @Test
  void equalMeansKeepTheirOrder() {
    GroupedBasis basis = GroupedBasis.of(2, 4, 1);
    double[] means = {1, 0.0, -0.0, -1, 1, 0, 5, -2};
    assertThat(basis.orderedBy(means, PermutationScope.LAYER).permutation())
        .containsExactly(7, 3, 1, 2, 5, 0, 4, 6);
    assertThat(basis.orderedBy(means, PermutationScope.GROUP).permutation())
        .containsExactly(3, 1, 2, 0, 7, 5, 4, 6);
    assertThat(basis.orderedBy(means, PermutationScope.LAYER).inverse())
        .containsExactly(5, 2, 3, 1, 6, 4, 7, 0);
  }

  @Test
  void meanThatIsNotFinite() {
    assertRefused(
        () -> KeyMean.of(new float[] {0, Float.NaN}, Backend.REFERENCE),
        "mean[1]: expected a finite one");
  }

  @Test
  void weightsThatDoNotFit() {
    assertRefused(
        () -> WeightFusion.key(fits, GroupedBasis.of(2, 4, 1), fits),
        "weight: expected 8 channels along dimension 0, got 3");
    assertRefused(
        () ->
            WeightFusion.value(
                scope.allocate(DType.F32, 12, 5), 8, scope.allocate(DType.F32, 12, 5)),
        "weight: expected 8 channels along dimension 0, got 12");
    assertRefused(
        () -> WeightFusion.output(fits, 10, fits),
        "headDim: expected 2^k or 12 2^k channels, at most 4096, got 10; next to it fit 8 and 12");
  }
}
