package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code fill.cu}. */
@RequiresCuda
final class CudaFillDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  @ParameterizedTest
  @ValueSource(longs = {2, 6, 8, 2046, 4098, 20_000})
  void numbersAreUniformAndTheSameForASeed(long count) {
    Tensor a = gpu.allocate(DType.BF16, count);
    Tensor b = gpu.allocate(DType.BF16, count);
    Tensor other = gpu.allocate(DType.BF16, count);
    CudaFill.on(gpu.stream(), 5).uniform(0.5, a);
    CudaFill second = CudaFill.on(gpu.stream(), 5);
    second.uniform(0.5, b);
    second.uniform(0.5, other);
    double[] values = gpu.doubles(a);
    assertThat(gpu.doubles(b)).isEqualTo(values);
    assertThat(gpu.doubles(other)).isNotEqualTo(values);
    assertThat(Arrays.stream(values).map(Math::abs).max().orElseThrow()).isBetween(0.0, 0.5);
    if (count > 1000) {
      // Within five standard deviations of mean and mean square of a uniform distribution.
      double error = 5 / Math.sqrt(count);
      assertThat(Arrays.stream(values).average().orElseThrow())
          .isCloseTo(0, within(error * 0.5 / Math.sqrt(3)));
      assertThat(Arrays.stream(values).map(x -> x * x).average().orElseThrow())
          .isCloseTo(1 / 12.0, within(error * 0.0745));
    }
  }

  @Test
  void bitsAreSetAsOftenAsNot() {
    Tensor out = gpu.allocate(DType.U8, 40_004);
    CudaFill.on(gpu.stream(), 1).bits(out);
    long set = 0;
    for (double value : gpu.doubles(out)) {
      set += Long.bitCount((long) value);
    }
    assertThat(set / (8 * 40_004.0)).isCloseTo(0.5, within(5 * 0.5 / Math.sqrt(8 * 40_004.0)));
  }

  @Test
  void constantsAreRounded() {
    Tensor out = gpu.allocate(DType.BF16, 10);
    CudaFill.on(gpu.stream(), 1).constant(0.1, out);
    assertThat(gpu.doubles(out)).containsOnly(0.10009765625);
    Tensor bytes = gpu.allocate(DType.U8, 24);
    CudaFill.on(gpu.stream(), 1).bytes(200, bytes);
    assertThat(gpu.doubles(bytes)).containsOnly(200);
  }

  @Test
  void refusesWhatItCannotFill() {
    CudaFill fill = CudaFill.on(gpu.stream(), 1);
    assertThatThrownBy(() -> fill.bits(gpu.allocate(DType.U8, 5)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("whole words");
    assertThatThrownBy(() -> fill.uniform(1, gpu.allocate(DType.F32, 4)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("BF16");
    try (Tensor host = Tensor.allocate(DType.U8, 4)) {
      assertThatThrownBy(() -> fill.bits(host))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("cuda:0");
    }
  }
}
