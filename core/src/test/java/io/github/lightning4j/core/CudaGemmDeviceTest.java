package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.kernel.WarpGroups;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels {@code gemm_*.cu} against products in double. */
@RequiresCuda
final class CudaGemmDeviceTest {
  /** Of fp32 sums of exact products. */
  private static final double NMSE = 1e-12;

  private Gpu gpu;
  private CudaGemm gemm;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    gemm = CudaGemm.open(gpu.stream());
  }

  @AfterEach
  void close() {
    gemm.close();
    gpu.close();
  }

  /** A quantized matrix on both sides. */
  private record Both(CudaQuantizedMatrix there, double[] weights) {}

  private Both quantized(QuantFormat format, int n, int k) {
    try (Tensor w = Cases.normal(n + 100, DType.BF16, n, k);
        QuantizedMatrix here = QuantizedMatrix.quantize(w, format);
        Tensor back = Tensor.allocate(DType.F32, n, k)) {
      here.dequantize(back);
      Tensor image = gpu.allocate(DType.U8, here.bytes() - 64);
      gpu.stream().copy(here.image(), image);
      gpu.stream().synchronize();
      return new Both(new CudaQuantizedMatrix(format, n, k, image), back.toDoubles());
    }
  }

  private static double[] product(double[] x, double[] w, int k) {
    int m = x.length / k;
    int n = w.length / k;
    double[] out = new double[m * n];
    for (int i = 0; i < out.length; i++) {
      for (int l = 0; l < k; l++) {
        out[i] += x[i / n * k + l] * w[i % n * k + l];
      }
    }
    return out;
  }

  private void checkDense(DType type, DType weights, int m, int n, int k) {
    Tensor x = gpu.normal(m, type, m, k);
    Tensor w = gpu.normal(n + 100, weights, n, k);
    Tensor out = gpu.allocate(DType.F32, m, n);
    gemm.multiply(x, w, out);
    double[] expected = product(gpu.doubles(x), gpu.doubles(w), k);
    String what = type + " " + weights + " " + m + "x" + n + "x" + k;
    Closeness.assertNmse(what, gpu.doubles(out), expected, NMSE, k);
  }

  @Test
  void multipliesFewRows() {
    for (int m : new int[] {1, 2, 8, 9, 15, 16}) {
      for (int k : new int[] {8, 136, 33, 1}) {
        checkDense(DType.BF16, DType.BF16, m, 17, k);
      }
    }
    checkDense(DType.BF16, DType.BF16, 3, 1, 264);
    checkDense(DType.BF16, DType.BF16, 5, 130, 72);
  }

  @Test
  void multipliesManyRowsByTiles() {
    for (int m : new int[] {17, 63, 65, 130}) {
      checkDense(DType.BF16, DType.BF16, m, 66, 72);
    }
    checkDense(DType.BF16, DType.BF16, 64, 1, 8);
    checkDense(DType.BF16, DType.BF16, 20, 64, 512);
    // Rows that copies of 16 bytes cannot take.
    checkDense(DType.BF16, DType.BF16, 33, 18, 41);
  }

  @Test
  void multipliesByLargeTilesWhereTheyFillTheGpu() {
    int blocks = gpu.device().multiprocessors();
    checkDense(DType.BF16, DType.BF16, 129, 64 * (blocks + 2) + 2, 136);
  }

  /** With the property that chooses warp groups; where the GPU has none, it changes nothing. */
  private void byWarpGroups(Runnable products) {
    System.setProperty(WarpGroups.PROPERTY, "true");
    try {
      products.run();
    } finally {
      System.clearProperty(WarpGroups.PROPERTY);
    }
  }

  @Test
  void multipliesByWarpGroups() {
    // Half as many tiles of columns as multiprocessors, and two of rows.
    int half = (gpu.device().multiprocessors() + 1) / 2;
    int wide = 256 * (half - 1) + 2;
    int narrow = 128 * (half - 1) + 2;
    byWarpGroups(
        () -> {
          checkDense(DType.BF16, DType.BF16, 193, wide, 8);
          checkDense(DType.BF16, DType.BF16, 200, wide + 251, 136);
          checkDense(DType.BF16, DType.BF16, 322, wide, 392);
          checkDense(DType.BF16, DType.BF16, 130, narrow + 126, 72);
          checkDense(DType.BF16, DType.BF16, 193, narrow, 1096);
        });
  }

  @Test
  void endsProductsOfWarpGroupsAsOthers() {
    int n = 256 * gpu.device().multiprocessors() - 12;
    Tensor x = gpu.normal(1, DType.BF16, 67, 200).narrow(1, 8, 136);
    Tensor w = gpu.normal(2, DType.BF16, n, 144).narrow(1, 8, 136);
    double[] exact = product(gpu.doubles(x), gpu.doubles(w), 136);
    for (DType type : new DType[] {DType.BF16, DType.F32}) {
      for (int shift : new int[] {0, 4, 5}) {
        Tensor out = gpu.normal(3, type, 67, n + 8).narrow(1, shift, n);
        double[] before = gpu.doubles(out);
        double[] expected = new double[exact.length];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = 0.25f * exact[i] + 3.5f * before[i];
        }
        byWarpGroups(() -> gemm.multiply(x, w, new CudaGemm.Sum(0.25f, out, 3.5f), out));
        double limit = type == DType.F32 ? NMSE : 3e-6;
        Closeness.assertNmse(type + " from " + shift, gpu.doubles(out), expected, limit);
      }
    }
  }

  @Test
  void keepsAllDigitsOfFp32() {
    for (int m : new int[] {1, 17}) {
      for (int k : new int[] {64, 37}) {
        checkDense(DType.F32, DType.F32, m, 18, k);
      }
      checkDense(DType.F32, DType.BF16, m, 32, 640);
    }
  }

  @Test
  void sharesOutKWhereOutputsAreFew() {
    checkDense(DType.BF16, DType.BF16, 3, 20, 3000);
    checkDense(DType.BF16, DType.BF16, 40, 30, 1160);
  }

  private void checkQuantized(QuantFormat format, int m, int n, int k) {
    Both w = quantized(format, n, k);
    Tensor x = gpu.normal(m, DType.BF16, m, k);
    Tensor out = gpu.allocate(DType.F32, m, n);
    gemm.multiply(x, w.there, out);
    double[] expected = product(gpu.doubles(x), w.weights, k);
    String what = format + " " + m + "x" + n + "x" + k;
    Closeness.assertNmse(what, gpu.doubles(out), expected, NMSE, k);
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8", "int8/32", "int8/64", "int4/32", "int4/64", "int4/128"})
  void multipliesCodes(String name) {
    QuantFormat format = QuantFormat.parse(name);
    checkQuantized(format, 1, 17, 200);
    checkQuantized(format, 5, 33, 1096);
    checkQuantized(format, 17, 66, 200);
    checkQuantized(format, 65, 31, 136);
  }

  @Test
  void multipliesCodesInOtherForms() {
    for (String name : new String[] {"int8", "int4/64"}) {
      QuantFormat format = QuantFormat.parse(name);
      checkQuantized(format, 2, 40, 8200);
      checkQuantized(format, 16, 16, 33);
      checkQuantized(format, 19, 18, 1);
      int blocks = gpu.device().multiprocessors();
      checkQuantized(format, 129, 32 * (blocks + 2), 72);
      checkQuantized(format, 20, 30, 1200);
    }
  }

  @Test
  void addsResidualsAndRoundsOnce() {
    for (int m : new int[] {3, 40}) {
      for (int k : new int[] {64, 1160}) {
        Tensor x = gpu.normal(1, DType.BF16, m, k);
        Tensor w = gpu.normal(2, DType.BF16, 34, k);
        Tensor out = gpu.normal(3, DType.BF16, m, 34);
        double[] expected = product(gpu.doubles(x), gpu.doubles(w), k);
        double[] before = gpu.doubles(out);
        double[] naive = new double[expected.length];
        for (int i = 0; i < expected.length; i++) {
          expected[i] = 0.25f * expected[i] + 3.5f * before[i];
          naive[i] = Bfloat16.toFloat(Bfloat16.fromFloat((float) expected[i]));
        }
        gemm.multiply(x, w, new CudaGemm.Sum(0.25f, out, 3.5f), out);
        Closeness.assertNoWorseThanNaive(m + "x" + k, gpu.doubles(out), naive, expected);
      }
    }
  }

  @Test
  void takesStridesAndTouchesNothingElse() {
    for (int m : new int[] {3, 40}) {
      Tensor x = gpu.normal(1, DType.BF16, m, 96).narrow(1, 8, 72);
      Tensor w = gpu.normal(2, DType.BF16, 18, 88).narrow(1, 16, 72);
      Tensor wide = gpu.normal(3, DType.F32, m, 30);
      double[] before = gpu.doubles(wide);
      double[] expected = product(gpu.doubles(x), gpu.doubles(w), 72);
      gemm.multiply(x, w, wide.narrow(1, 5, 18));
      Closeness.assertNmse("strided", gpu.doubles(wide.narrow(1, 5, 18)), expected, NMSE);
      double[] after = gpu.doubles(wide);
      for (int i = 0; i < after.length; i++) {
        boolean written = i % 30 >= 5 && i % 30 < 23;
        assertThat(after[i] == before[i]).as("element %s", i).isNotEqualTo(written);
      }
    }
  }

  @Test
  void keepsNanAndInfinityInTheirRows() {
    Both codes = quantized(QuantFormat.int8(), 20, 64);
    for (DType type : new DType[] {DType.BF16, DType.F32}) {
      for (int m : new int[] {5, 20}) {
        Tensor host = Cases.normal(1, type, m, 64);
        host.accessor().set(64 + 3, Double.NaN);
        host.accessor().set(2 * 64 + 63, Double.POSITIVE_INFINITY);
        Tensor x = gpu.up(host);
        Tensor w = gpu.normal(2, DType.BF16, 20, 64);
        Tensor out = gpu.allocate(DType.F32, m, 20);
        for (boolean quantized : new boolean[] {false, true}) {
          if (quantized && type == DType.F32) {
            continue; // parts of F32 and codes are held apart elsewhere
          }
          if (quantized) {
            gemm.multiply(x, codes.there, out);
          } else {
            gemm.multiply(x, w, out);
          }
          double[] all = gpu.doubles(out);
          for (int i = 0; i < all.length; i++) {
            assertThat(Double.isFinite(all[i])).isEqualTo(i / 20 != 1 && i / 20 != 2);
          }
        }
      }
    }
  }

  @Test
  void doesNothingToNothingAndSumsOverNothing() {
    Tensor w = gpu.normal(2, DType.BF16, 5, 8);
    Tensor none = gpu.allocate(DType.F32, 0, 5);
    gemm.multiply(gpu.allocate(DType.BF16, 0, 8), w, none);
    assertThat(gpu.doubles(none)).isEmpty();
    Tensor out = gpu.normal(3, DType.F32, 2, 5);
    gemm.multiply(gpu.allocate(DType.BF16, 2, 0), w.narrow(1, 0, 0), out);
    assertThat(gpu.doubles(out)).containsOnly(0.0);
  }

  @Test
  void repeatsItsBitsInAGraphAndTakesNoMemory() {
    Tensor w = gpu.normal(2, DType.BF16, 20, 3000);
    Tensor x = gpu.normal(1, DType.BF16, 3, 3000);
    Tensor out = gpu.allocate(DType.F32, 3, 20);
    gemm.multiply(x, w, out);
    double[] first = gpu.doubles(out);
    long before = CudaMemory.liveBytes();
    try (CudaGraph graph = CudaGraph.capture(gpu.stream(), () -> gemm.multiply(x, w, out))) {
      for (int i = 0; i < 3; i++) {
        gpu.stream().clear(out);
        graph.launch(gpu.stream());
        assertThat(Arrays.equals(gpu.doubles(out), first)).isTrue();
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void saysWhetherTheLibraryServes() {
    Availability library = CudaGemm.cublasLt();
    assertThat(library.reason()).contains("cuBLASLt");
    assertThat(library.fix().isEmpty()).isEqualTo(library.isAvailable());
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor x = gpu.normal(1, DType.BF16, 2, 8);
    Tensor w = gpu.normal(2, DType.BF16, 5, 8);
    Tensor out = gpu.allocate(DType.F32, 2, 5);
    assertThatThrownBy(() -> gemm.multiply(x, w.narrow(1, 0, 7), out))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("x: expected shape [2, 7], got [2, 8]");
    assertThatThrownBy(() -> gemm.multiply(gpu.normal(1, DType.F16, 2, 8), w, out))
        .hasMessageContaining("x: expected dtype");
    assertThatThrownBy(() -> gemm.multiply(x, x, x.narrow(1, 0, 2)))
        .hasMessage("out: must not overlap x or w");
    Tensor wide = gpu.allocate(DType.F32, 3, 5);
    CudaGemm.Sum shifted = new CudaGemm.Sum(1, wide.narrow(0, 1, 2), 1);
    assertThatThrownBy(() -> gemm.multiply(x, w, shifted, wide.narrow(0, 0, 2)))
        .hasMessage("residual: expected out itself or memory apart from it");
    try (Tensor host = Tensor.allocate(DType.BF16, 5, 8)) {
      assertThatThrownBy(() -> gemm.multiply(x, host, out))
          .hasMessageContaining("w: expected a tensor on cuda:0");
      Tensor image =
          Tensor.allocate(DType.U8, QuantizedMatrix.imageBytes(QuantFormat.int8(), 5, 8));
      assertThatThrownBy(() -> new CudaQuantizedMatrix(QuantFormat.int8(), 5, 8, image))
          .hasMessageContaining("image: expected memory of a GPU");
      image.close();
    }
  }
}
