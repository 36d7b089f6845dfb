package io.github.lightning4j.kvquant.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** {@code greatest.cu} finds the tokens that whole rows show. */
@RequiresCuda
final class CudaGreatestDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private static long[] sinks(Tensor rows, int k) {
    MassiveActivations found = new MassiveActivations(k);
    found.add(rows, 7);
    return found.tokens();
  }

  @Test
  void findsTheTokensThatWholeRowsShow() {
    for (DType type : new DType[] {DType.F32, DType.BF16, DType.F16}) {
      for (int width : new int[] {5, 64, 300}) { // bf16 of 300 channels has equals
        Tensor x = gpu.normal(width, type, 9, width + 1).narrow(1, 1, width);
        Tensor rows = gpu.down(x);
        int k = Math.min(width, 20);
        Tensor out = gpu.allocate(DType.F32, 9, k);
        CudaGreatest.magnitudes(gpu.stream(), x, out);
        Tensor greatest = gpu.down(out);
        assertThat(sinks(greatest, k)).isEqualTo(sinks(rows, k));
        double[] first = rows.select(0, 0).toDoubles();
        for (int i = 0; i < width; i++) {
          first[i] = Math.abs(first[i]);
        }
        Arrays.sort(first);
        for (int i = 0; i < k; i++) {
          assertThat(greatest.accessor().get(i)).isEqualTo(first[width - 1 - i]);
        }
      }
    }
  }

  @Test
  void keepsWhatIsNotFinite() {
    Tensor x =
        gpu.up(Tensor.of(new float[] {1, Float.NaN, -3, 2, Float.NEGATIVE_INFINITY, -5}, 2, 3));
    Tensor out = gpu.allocate(DType.F32, 2, 2);
    CudaGreatest.magnitudes(gpu.stream(), x, out);
    assertThat(gpu.down(out).toFloats()).containsExactly(Float.NaN, 3, Float.POSITIVE_INFINITY, 5);
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor x = gpu.normal(1, DType.F32, 3, 4);
    assertThatThrownBy(
            () -> CudaGreatest.magnitudes(gpu.stream(), x, gpu.allocate(DType.F32, 3, 5)))
        .hasMessage("out: expected 1 to 4 magnitudes of each row, got 5");
    assertThatThrownBy(() -> CudaGreatest.magnitudes(gpu.stream(), x, x))
        .hasMessage("out: expected memory apart from x");
  }
}
