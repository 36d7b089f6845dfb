package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code hadamard.cu} against the reference. */
@RequiresCuda
final class CudaHadamardDeviceTest {
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
  @ValueSource(ints = {32, 64, 128, 256})
  void transformsRowsOfBlocks(int n) {
    for (DType type : new DType[] {DType.F32, DType.BF16, DType.F16}) {
      Tensor rows = gpu.normal(n, type, 9, 2L * n + 1);
      Tensor x = rows.narrow(1, 1, 2L * n);
      Tensor out = gpu.allocate(type, 9, 2L * n);
      CudaHadamard.on(gpu.stream()).apply(x, n, out);
      try (Tensor host = Tensor.of(gpu.down(x).toFloats(), 9, 2L * n);
          Tensor expected = Tensor.allocate(DType.F32, 9, 2L * n)) {
        Hadamard.of(Backend.REFERENCE).apply(host, n, expected);
        double limit = type == DType.F32 ? 1e-13 : type == DType.F16 ? 1e-7 : 6e-6;
        Closeness.assertNmse(type + " " + n, gpu.doubles(out), expected.toDoubles(), limit);
      }
      Tensor inPlace = gpu.normal(n, type, 9, 2L * n);
      CudaHadamard.on(gpu.stream()).apply(inPlace, n, out);
      CudaHadamard.on(gpu.stream()).apply(inPlace, n, inPlace);
      assertThat(gpu.down(inPlace).toFloats()).isEqualTo(gpu.down(out).toFloats());
    }
  }

  @Test
  void isItsOwnInverse() {
    Tensor x = gpu.normal(1, DType.F32, 3, 64);
    double[] before = gpu.doubles(x);
    CudaHadamard.on(gpu.stream()).apply(x, 64, x);
    CudaHadamard.on(gpu.stream()).apply(x, 64, x);
    Closeness.assertNmse("twice", gpu.doubles(x), before, 1e-12);
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor x = gpu.normal(1, DType.F32, 3, 64);
    CudaHadamard hadamard = CudaHadamard.on(gpu.stream());
    assertThatThrownBy(() -> hadamard.apply(x, 48, x))
        .hasMessage("n: expected 32, 64, 128 or 256 channels on a GPU, got 48");
    assertThatThrownBy(() -> hadamard.apply(x, 128, x))
        .hasMessage("x: expected a width in blocks of 128 channels, got 64");
    try (Tensor host = Cases.normal(1, DType.F32, 3, 64)) {
      assertThatThrownBy(() -> hadamard.apply(host, 64, x))
          .hasMessageContaining("x, out: expected tensors on cuda:0");
    }
  }
}
