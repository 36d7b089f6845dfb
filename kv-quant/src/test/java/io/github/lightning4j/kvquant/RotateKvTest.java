package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.RowOperators;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.GoldenCase;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.QuantizedRow;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.FixtureBasis;
import io.github.lightning4j.kvquant.transform.GroupedRotation;
import java.util.Arrays;
import java.util.Locale;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** RotateKV from keys to the layer's output, against numpy. */
final class RotateKvTest {
  private final MemoryScope scope = new MemoryScope();
  private final GoldenCase golden = scope.add(new GoldenCase(RotateKvTest.class, "rotatekv"));
  private final int kvHeads = golden.size("kv_heads");
  private final int heads = golden.size("heads");
  private final int dim = golden.size("dim");
  private final int tokens = golden.size("tokens");

  @AfterEach
  void close() {
    scope.close();
  }

  private static KvQuantizer quantizer(int bits, ScaleFormat scale) {
    Clip clip = Clip.paper(bits == 2 ? 0.8 : 1);
    return KvQuantizer.affine(bits, 32, clip, scale, ZeroFormat.INTEGER);
  }

  private static float[][] rows(Tensor x, int width) {
    float[] values = x.toFloats();
    float[][] rows = new float[values.length / width][];
    for (int t = 0; t < rows.length; t++) {
      rows[t] = Arrays.copyOfRange(values, t * width, (t + 1) * width);
    }
    return rows;
  }

  @ParameterizedTest
  @CsvSource({"2, FP32", "3, FP32", "4, FP32", "2, LOG8", "3, LOG8", "4, LOG8"})
  void codesMetadataAndValuesOfKeys(int bits, ScaleFormat scale) {
    String name = bits + "_" + scale.name().toLowerCase(Locale.ROOT);
    KvQuantizer quantizer = quantizer(bits, scale);
    byte[] codes = bytes(golden.tensor("k_codes_" + name));
    float[] scales = golden.tensor("k_scales_" + name).toFloats();
    float[] zeros = golden.tensor("k_zeros_" + name).toFloats();
    float[][] values = rows(golden.tensor("k_values_" + name), kvHeads * dim);
    float[][] stored = rows(golden.tensor("k_stored"), kvHeads * dim);
    int groups = kvHeads * dim / 32;
    for (int t = 0; t < tokens; t++) {
      QuantizedRow row = quantizer.quantize(stored[t]);
      int width = kvHeads * dim;
      assertThat(row.codes()).isEqualTo(Arrays.copyOfRange(codes, t * width, (t + 1) * width));
      for (int g = 0; g < groups; g++) {
        float expected =
            scale == ScaleFormat.LOG8
                ? ScaleFormat.LOG8.decode((int) scales[t * groups + g])
                : scales[t * groups + g];
        assertThat(quantizer.scaleOf(row, g)).isEqualTo(expected);
        assertThat(quantizer.zeroOf(row, g)).isEqualTo(zeros[t * groups + g]);
      }
      assertThat(quantizer.dequantize(row)).isEqualTo(values[t]);
    }
  }

  @ParameterizedTest
  @CsvSource({"2, FP32", "3, LOG8", "4, FP32"})
  void valuesAreQuantizedHeadByHead(int bits, ScaleFormat scale) {
    String name = bits + "_" + scale.name().toLowerCase(Locale.ROOT);
    KvQuantizer quantizer = quantizer(bits, scale);
    byte[] codes = bytes(golden.tensor("v_codes_" + name));
    float[][] expected = rows(golden.tensor("v_values_" + name), dim);
    float[][] stored = rows(golden.tensor("v_stored"), dim);
    for (int h = 0; h < stored.length; h++) {
      QuantizedRow row = quantizer.quantize(stored[h]);
      assertThat(row.codes()).isEqualTo(Arrays.copyOfRange(codes, h * dim, (h + 1) * dim));
      assertThat(quantizer.dequantize(row)).isEqualTo(expected[h]);
    }
  }

  private static byte[] bytes(Tensor codes) {
    byte[] bytes = new byte[(int) codes.elements()];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) codes.accessor().getLong(i);
    }
    return bytes;
  }

  @ParameterizedTest
  @CsvSource({"2, FP32", "2, LOG8", "3, FP32", "4, LOG8"})
  void theLayersOutput(int bits, ScaleFormat scale) {
    String name = bits + "_" + scale.name().toLowerCase(Locale.ROOT);
    Tensor stored = read(golden.tensor("k_stored"), kvHeads * dim, bits, scale);
    Tensor values = read(golden.tensor("v_stored"), dim, bits, scale);
    Tensor keys = restored(stored);
    if (!Arrays.equals(golden.tensor("sinks").toLongs(), new long[] {0, 11})) {
      throw new AssertionError("the fixture has other sinks");
    }
    Tensor numpy = golden.tensor("k_restored_" + name);
    Closeness.assertWithin(
        "k_restored", keys.toDoubles(), numpy.toDoubles(), golden.tolerance("k_restored"));
    rope(keys);
    double[] out = layer(keys, values);
    double[] expected = golden.tensor("out_" + name).toDoubles();
    Closeness.assertWithin("out " + name, out, expected, golden.tolerance("out"));
  }

  /** Without rounding the way through the basis changes nothing; with RoPE before it, it does. */
  @Test
  void theOrderOfRotationAndRopeMatters() {
    Tensor keys = restored(golden.tensor("k_stored"));
    rope(keys);
    double[] exact = golden.tensor("out_exact").toDoubles();
    double[] out = layer(keys, golden.tensor("v_stored"));
    Closeness.assertWithin("exact", out, exact, golden.tolerance("out"));
    Tensor early = golden.tensor("k_stored");
    rope(early);
    double[] wrong = layer(restored(early), golden.tensor("v_stored"));
    assertThat(Closeness.maxDifference(wrong, exact)).isGreaterThan(0.1);
  }

  /** What a store gives back: quantized rows, and sinks as they were. */
  private Tensor read(Tensor stored, int width, int bits, ScaleFormat scale) {
    KvQuantizer quantizer = quantizer(bits, scale);
    float[][] rows = rows(stored, width);
    int perToken = kvHeads * dim / width;
    long[] sinks = golden.tensor("sinks").toLongs();
    for (int r = 0; r < rows.length; r++) {
      if (Arrays.binarySearch(sinks, r / perToken) < 0) {
        float[] values = quantizer.dequantize(quantizer.quantize(rows[r]));
        for (int i = 0; i < width; i++) {
          stored.accessor().set((long) r * width + i, values[i]);
        }
      }
    }
    return stored;
  }

  private Tensor restored(Tensor stored) {
    Tensor keys = scope.allocate(DType.F32, tokens, kvHeads * dim);
    try (GroupedRotation rotation =
        GroupedRotation.of(FixtureBasis.of(golden), Backend.REFERENCE)) {
      rotation.restore(stored, keys);
    }
    return keys;
  }

  private void rope(Tensor keys) {
    float[] frequencies = new float[dim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) Math.pow(golden.size("theta"), -2.0 * i / dim);
    }
    Tensor invFreq = scope.add(Tensor.of(frequencies, frequencies.length));
    RowOperators.of(Backend.REFERENCE).rope(keys.reshape(tokens, kvHeads, dim), invFreq, 0);
  }

  /** Attention and the fused output projection, in double. */
  private double[] layer(Tensor keys, Tensor values) {
    Tensor q = golden.tensor("q").reshape(tokens, heads, dim);
    Tensor k = keys.reshape(tokens, kvHeads, dim);
    Tensor v = values.reshape(tokens, kvHeads, dim);
    double[] mixed = DenseAttention.of(q, k, v, Math.pow(dim, -0.5));
    double[] weight = golden.tensor("w_o_fused").toDoubles();
    int in = heads * dim;
    int outs = weight.length / in;
    double[] out = new double[tokens * outs];
    for (int t = 0; t < tokens; t++) {
      for (int o = 0; o < outs; o++) {
        for (int i = 0; i < in; i++) {
          out[t * outs + o] += weight[o * in + i] * mixed[t * in + i];
        }
      }
    }
    return out;
  }
}
