package io.github.lightning4j.moe.loss;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.GoldenCase;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class HfPooledTest {
  /** Half a unit in the last place of the golden F32 losses, which lie between 2 and 4. */
  private static final double LOSS = 2.4e-7;

  /** Of the largest gradient: the golden ones were formed in fp32, this loss in double. */
  private static final double GRADIENT = 5e-6;

  @ParameterizedTest
  @ValueSource(strings = {"moe_e4", "moe_e32"})
  void agreesWithTheGoldenData(String name) {
    try (GoldenCase file = new GoldenCase(HfPooledTest.class, name)) {
      check(file, null, "aux_loss", "aux_grad");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"moe_e4", "moe_e32"})
  void agreesWithTheGoldenDataUnderAMask(String name) {
    try (GoldenCase file = new GoldenCase(HfPooledTest.class, name)) {
      check(file, file.tensor("aux_mask"), "aux_loss_masked", "aux_grad_masked");
    }
  }

  private static void check(GoldenCase file, @Nullable Tensor mask, String loss, String gradient) {
    Tensor logits = file.tensor("aux_router_logits");
    try (Tensor out = Tensor.allocate(DType.F32, logits.shape())) {
      double value = AuxLoss.hfPooled(layers(logits), file.size("K"), mask, layers(out));
      assertThat(value).isCloseTo(file.tensor(loss).toDoubles()[0], within(LOSS));
      double[] expected = file.tensor(gradient).toDoubles();
      double scale = 0;
      for (double g : expected) {
        scale = Math.max(scale, Math.abs(g));
      }
      double[] got = out.toDoubles();
      for (int i = 0; i < got.length; i++) {
        assertThat(got[i]).as("gradient %s", i).isCloseTo(expected[i], within(GRADIENT * scale));
      }
      assertThat(AuxLoss.hfPooled(layers(logits), file.size("K"), mask, null)).isEqualTo(value);
    }
  }

  @Test
  void isKWhereAllIsEven() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 8, 4);
      for (int t = 0; t < 8; t++) {
        logits.accessor().set(t * 4L + t % 4, 1e-6);
        logits.accessor().set(t * 4L + (t + 1) % 4, 1e-6);
      }
      assertThat(AuxLoss.hfPooled(List.of(logits), 2, null, null)).isCloseTo(2, within(1e-9));
    }
  }

  @Test
  void takesAnyIntegerMask() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(new float[] {1, 2, 3, 0, 5, 1, 2, 2, 2}, 3, 3));
      Tensor two = logits.narrow(0, 0, 2);
      double expected = AuxLoss.hfPooled(List.of(two), 1, null, null);
      for (DType dtype : DType.values()) {
        if (dtype.isFloating()) {
          continue;
        }
        Tensor mask = scope.allocate(dtype, 3);
        mask.accessor().setLong(0, 1);
        mask.accessor().setLong(1, 1);
        assertThat(AuxLoss.hfPooled(List.of(logits), 1, mask, null)).isEqualTo(expected);
      }
    }
  }

  @Test
  void doesNotLookAtTokensThatDoNotCount() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(new float[] {Float.NaN, 2, 3, 0}, 2, 2));
      Tensor mask = scope.add(Tensor.of(new int[] {0, 1}, 2));
      Tensor gradient = scope.add(Tensor.of(new float[] {9, 9, 9, 9}, 2, 2));
      double loss = AuxLoss.hfPooled(List.of(logits), 1, mask, List.of(gradient));
      assertThat(loss).isCloseTo(2 / (1 + Math.exp(-3)), within(1e-12));
      assertThat(gradient.toFloats()).startsWith(0, 0).doesNotContain(9, Float.NaN);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 2, 4);
      List<Tensor> one = List.of(logits);
      refused("routerLogits: expected at least one layer", () -> hf(List.of(), 1, null, null));
      refused("k: expected 1 <= k <= 4, got 5", () -> hf(one, 5, null, null));
      refused("k: expected 1 <= k <= 4, got 0", () -> hf(one, 0, null, null));
      refused(
          "routerLogits[1]: expected shape [2, 4], got [3, 4]",
          () -> hf(List.of(logits, scope.allocate(DType.F32, 3, 4)), 1, null, null));
      refused(
          "routerLogits[0]: expected dtype F32, got I32",
          () -> hf(List.of(scope.allocate(DType.I32, 2, 4)), 1, null, null));
      refused(
          "mask: expected 2 elements, one a token",
          () -> hf(one, 1, scope.allocate(DType.I64, 3), null));
      refused("mask: expected dtype in", () -> hf(one, 1, scope.allocate(DType.F32, 2), null));
      refused(
          "mask: expected at least one token that counts, got none",
          () -> hf(one, 1, scope.allocate(DType.I64, 2), null));
      refused("outGradients: expected 1 layers, got 0", () -> hf(one, 1, null, List.of()));
      refused("outGradients[0]: must not overlap routerLogits", () -> hf(one, 1, null, one));
      logits.accessor().set(5, Double.NaN);
      refused("routerLogits[0], token 1: expected numbers", () -> hf(one, 1, null, null));
    }
  }

  private static double hf(
      List<Tensor> logits, int k, @Nullable Tensor mask, @Nullable List<Tensor> gradients) {
    return AuxLoss.hfPooled(logits, k, mask, gradients);
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }

  private static List<Tensor> layers(Tensor stacked) {
    List<Tensor> layers = new ArrayList<>();
    for (long layer = 0; layer < stacked.size(0); layer++) {
      layers.add(stacked.select(0, layer));
    }
    return layers;
  }
}
