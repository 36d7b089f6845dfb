package io.github.lightning4j.moe.loss;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernels of {@code aux_loss.cu} against the losses of the CPU. */
@RequiresCuda
final class CudaAuxLossDeviceTest {
  private static final LossTerm[] TERMS = {
    BalanceLoss.of(0.5),
    BalanceLoss.of(2).withNormalization(Normalization.GSHARD_MEAN),
    new ZLoss(0.125)
  };

  private final MemoryScope scope = new MemoryScope();
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    scope.close();
    gpu.close();
  }

  private Tensor up(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  private Tensor ints(int tokens, int... columns) {
    int width = columns.length == 0 ? 1 : columns.length;
    int[] values = new int[tokens * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = columns.length == 0 ? i % 3 : (i / width * 5 + columns[i % width]) % 4;
    }
    long[] shape = columns.length == 0 ? new long[] {tokens} : new long[] {tokens, width};
    return scope.add(Tensor.of(values, shape));
  }

  private void check(int tokens, int experts, Score score, boolean masked) {
    Tensor logits = scope.add(Cases.normal(1, DType.F32, tokens, experts));
    Tensor index = ints(tokens, 0, 3);
    Tensor mask = masked ? ints(tokens) : null;
    Tensor gradient = scope.allocate(DType.F32, tokens, experts);
    LossValues expected =
        AuxLoss.of(TERMS)
            .withScore(score)
            .evaluate(
                RouterBatch.of(List.of(logits), List.of(index)).withMask(mask), List.of(gradient));
    CudaAuxLoss there = CudaAuxLoss.on(gpu.stream(), TERMS).withScore(score);
    Tensor scratch = gpu.allocate(DType.F64, there.scratchElements(tokens, experts));
    Tensor out = gpu.normal(2, DType.F32, tokens, experts + 3).narrow(1, 0, experts);
    Tensor maskThere = mask == null ? null : up(mask);
    there.evaluate(up(logits), up(index), maskThere, scratch, out, false);
    LossValues values = there.values(scratch, experts, 2);
    assertThat(values.total()).isCloseTo(expected.total(), within(1e-12));
    for (int i = 0; i < TERMS.length; i++) {
      assertThat(values.values().get(i)).isCloseTo(expected.values().get(i), within(1e-12));
    }
    double[] wanted = gradient.toDoubles();
    double[] once = gpu.doubles(out);
    for (int i = 0; i < wanted.length; i++) {
      assertThat(once[i]).as("%s", i).isCloseTo(wanted[i], within(1e-7 * Math.abs(wanted[i])));
    }
    there.evaluate(up(logits), up(index), maskThere, scratch, out, true);
    double[] twice = gpu.doubles(out);
    for (int i = 0; i < once.length; i++) {
      assertThat(twice[i]).isCloseTo(2 * once[i], within(2e-7 * Math.abs(once[i])));
    }
  }

  @ParameterizedTest
  @EnumSource(Score.class)
  void isTheLossOfTheCpu(Score score) {
    check(67, 33, score, true);
    check(5, 4, score, false);
  }

  @ParameterizedTest
  @CsvSource({"1, 4", "64, 7", "130, 300"})
  void takesAwkwardSizes(int tokens, int experts) {
    check(tokens, experts, Score.SOFTMAX, false);
  }

  @Test
  void showsWhatIsNotANumberAndWhereNothingCounts() {
    Tensor logits = scope.add(Cases.normal(1, DType.F32, 3, 4));
    logits.accessor().set(5, Double.NaN);
    CudaAuxLoss there = CudaAuxLoss.on(gpu.stream(), TERMS);
    Tensor scratch = gpu.allocate(DType.F64, there.scratchElements(3, 4));
    Tensor out = gpu.allocate(DType.F32, 3, 4);
    there.evaluate(up(logits), up(ints(3, 0, 3)), null, scratch, out, false);
    assertThatThrownBy(() -> there.values(scratch, 4, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("logits: expected numbers below infinity");
    assertThat(gpu.doubles(out.select(0, 1))).containsOnly(Double.NaN);
    assertThat(gpu.doubles(out.select(0, 2))).doesNotContain(Double.NaN);
    Tensor none = gpu.up(Tensor.of(new int[3], 3));
    there.evaluate(up(logits), up(ints(3, 0, 3)), none, scratch, out, false);
    assertThat(gpu.doubles(out)).containsOnly(0);
    assertThatThrownBy(() -> there.values(scratch, 4, 2))
        .hasMessage("mask: expected at least one token that counts, got none");
  }

  @Test
  void refusesWhatDoesNotFit() {
    BalanceLoss global = BalanceLoss.of(1).withScope(Scope.GLOBAL_BATCH);
    assertThatThrownBy(() -> CudaAuxLoss.on(gpu.stream(), global))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("terms: expected the scope MICRO_BATCH and layers");
    CudaAuxLoss there = CudaAuxLoss.on(gpu.stream(), TERMS);
    Tensor logits = gpu.normal(1, DType.F32, 3, 4);
    Tensor index = up(ints(3, 0, 3));
    Tensor scratch = gpu.allocate(DType.F64, there.scratchElements(3, 4));
    assertThatThrownBy(() -> there.evaluate(logits, index, null, scratch, logits, true))
        .hasMessageStartingWith("outDLogits: expected memory of its own, got an overlap");
    Tensor other = gpu.allocate(DType.F32, 2, 4);
    assertThatThrownBy(() -> there.evaluate(logits, index, null, scratch, other, true))
        .hasMessageStartingWith("outDLogits: expected shape [3, 4], got [2, 4]");
  }
}
