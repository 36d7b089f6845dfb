package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels of {@code gated_norm.cu} and {@code step.cu} against the formulas in double. */
@RequiresCuda
final class CudaStepOperatorsDeviceTest {
  private Gpu gpu;
  private CudaStepOperators step;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    step = CudaStepOperators.on(gpu.stream());
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private static double[] rounded(double[] exact, DType type) {
    try (Tensor to = Tensor.allocate(type, exact.length)) {
      for (int i = 0; i < exact.length; i++) {
        to.accessor().set(i, exact[i]);
      }
      return to.toDoubles();
    }
  }

  private double[] gated(Tensor x, Tensor gate, Tensor weight, float eps) {
    double[] in = gpu.doubles(x);
    double[] g = gpu.doubles(gate);
    double[] w = gpu.doubles(weight);
    double[] out = new double[in.length];
    for (int start = 0; start < in.length; start += w.length) {
      double squares = 0;
      for (int i = 0; i < w.length; i++) {
        squares += in[start + i] * in[start + i];
      }
      double root = Math.sqrt(squares / w.length + eps);
      for (int i = 0; i < w.length; i++) {
        out[start + i] = w[i] * in[start + i] / root / (1 + Math.exp(-g[start + i]));
      }
    }
    return out;
  }

  private void checkGated(DType type, DType gates, DType outType, int h) {
    Tensor x = gpu.normal(h, type, 3, h);
    Tensor gate = gpu.normal(h + 1, gates, 3, h);
    Tensor weight = gpu.normal(h + 2, DType.BF16, h);
    Tensor out = gpu.allocate(outType, 3, h);
    double[] expected = gated(x, gate, weight, 1e-6f);
    step.gatedNorm(x, gate, weight, 1e-6f, out);
    if (outType == DType.F32) {
      Closeness.assertNmse("gated " + h, gpu.doubles(out), expected, 1e-12);
    } else {
      Closeness.assertNoWorseThanNaive(
          "gated " + h, gpu.doubles(out), rounded(expected, outType), expected);
    }
  }

  @Test
  void normsAndGatesAwkwardSizesOfMixedTypes() {
    for (int h : new int[] {1, 7, 64, 257, 2056}) {
      checkGated(DType.F32, DType.BF16, DType.BF16, h);
    }
    for (int h : new int[] {9, 8192}) {
      checkGated(DType.BF16, DType.BF16, DType.BF16, h);
      checkGated(DType.F32, DType.F32, DType.F32, h);
    }
  }

  @Test
  void normsInPlaceAndKeepsNanWhereItIs() {
    Tensor host = Cases.normal(1, DType.F32, 3, 40);
    host.accessor().set(45, Double.NaN);
    Tensor x = gpu.up(host);
    Tensor gates = Cases.normal(2, DType.F32, 3, 40);
    gates.accessor().set(2, Double.NaN);
    gates.accessor().set(3, Double.NEGATIVE_INFINITY);
    Tensor gate = gpu.up(gates);
    Tensor weight = gpu.normal(3, DType.F32, 40);
    step.gatedNorm(x, gate, weight, 0, x);
    double[] out = gpu.doubles(x);
    for (int i = 0; i < out.length; i++) {
      assertThat(Double.isNaN(out[i])).as("element %s", i).isEqualTo(i == 2 || i / 40 == 1);
    }
    assertThat(out[3]).isZero();
  }

  @Test
  void convertsStridedRows() {
    for (int h : new int[] {1, 8, 33}) {
      Tensor wide = gpu.normal(h, DType.F32, 3, 40);
      Tensor x = wide.narrow(1, 4, h);
      Tensor out = gpu.allocate(DType.BF16, 3, h);
      Tensor back = gpu.allocate(DType.F32, 3, h);
      step.convert(x, out);
      step.convert(out, back);
      assertThat(gpu.doubles(out)).isEqualTo(rounded(gpu.doubles(x), DType.BF16));
      assertThat(gpu.doubles(back)).isEqualTo(gpu.doubles(out));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8", "int8/32", "int4/64"})
  void gathersRowsOfCodes(String name) {
    QuantFormat format = QuantFormat.parse(name);
    for (int h : new int[] {1, 33, 300}) {
      try (Tensor w = Cases.normal(h, DType.F32, 5, h);
          QuantizedMatrix table = QuantizedMatrix.quantize(w, format)) {
        Tensor image = gpu.allocate(DType.U8, QuantizedMatrix.imageBytes(format, 5, h));
        gpu.stream().copy(table.image(), image);
        Tensor ids = gpu.up(Tensor.of(new int[] {4, -1, 0, 5}, 4));
        Tensor out = gpu.allocate(DType.F32, 4, h);
        step.gatherRows(new CudaQuantizedMatrix(format, 5, h, image), ids, out);
        float[] rows = gpu.down(out).toFloats();
        for (int i = 0; i < h; i++) {
          assertThat(rows[i]).isEqualTo(table.row(4)[i]);
          assertThat(rows[h + i]).isNaN();
          assertThat(rows[2 * h + i]).isEqualTo(table.row(0)[i]);
          assertThat(rows[3 * h + i]).isNaN();
        }
      }
    }
  }

  @Test
  void advancesCountersThatAreInUse() {
    int[] counts = new int[300];
    counts[0] = -1;
    counts[299] = 7;
    Tensor counters = gpu.up(Tensor.of(counts, 300));
    step.advance(counters, 2);
    long[] after = gpu.down(counters).toLongs();
    assertThat(after[0]).isEqualTo(-1);
    assertThat(after[1]).isEqualTo(2);
    assertThat(after[299]).isEqualTo(9);
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor x = gpu.normal(1, DType.F32, 2, 8);
    Tensor gate = gpu.normal(1, DType.BF16, 2, 8);
    Tensor weight = gpu.normal(1, DType.F32, 7);
    assertThatThrownBy(() -> step.gatedNorm(x, gate, weight, 0, x))
        .hasMessage("weight: expected shape [8], got [7]");
    assertThatThrownBy(() -> step.convert(x, gpu.allocate(DType.BF16, 2, 7)))
        .hasMessage("out: expected shape [2, 8], got [2, 7]");
    assertThatThrownBy(() -> step.advance(x, 1)).hasMessageContaining("counters: expected dtype");
    step.convert(gpu.allocate(DType.F32, 0, 8), gpu.allocate(DType.BF16, 0, 8));
  }
}
