package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.List;

/**
 * The quantizer of {@code quantizer_kernels.h}, bit for bit, and products in double. Codes are
 * chosen in fp32 because ties and equal errors must fall the same way everywhere.
 */
final class ReferenceQuant implements QuantKernels {
  private static final float[] CLIP_RATIOS = {1f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f, 0.65f};

  private record GroupCode(float scale, float inverse, int zero, int least, int most) {
    /** For symmetric codes of 8 bits: {@code low} is 0; for 4 bits it is at most 0. */
    static GroupCode of(int bits, float exactScale, float low) {
      float scale = Bfloat16.toFloat(Bfloat16.fromFloat(exactScale));
      int least = bits == 8 ? -127 : 0;
      int most = bits == 8 ? 127 : 15;
      if (scale < 1e-30f) {
        return new GroupCode(0, 0, 0, least, most);
      }
      float inverse = 1 / scale;
      int zero = Math.min(15, (int) Math.rint(-low * inverse));
      return new GroupCode(scale, inverse, zero, least, most);
    }

    int code(float w) {
      float c = Math.fma(w, inverse, zero);
      return (int) Math.rint(Math.max(Math.min(c, most), least));
    }

    float error(float w) {
      return Math.fma(-scale, code(w) - zero, w);
    }
  }

  @Override
  public long quantize(Tensor w, QuantStore out, Tensor report, long from, long to) {
    Elements weights = w.accessor();
    float[] row = new float[(int) out.paddedColumns()];
    for (long n = from; n < to; n++) {
      for (int k = 0; k < out.columns(); k++) {
        row[k] = (float) weights.get(n * w.stride(0) + k);
        if (!Float.isFinite(row[k])) {
          return n;
        }
      }
      quantizeRow(row, out, n, report.accessor());
    }
    return -1;
  }

  private static void quantizeRow(float[] row, QuantStore out, long n, Elements report) {
    int bits = out.format().bits();
    int block = out.format().block();
    double[] errors = new double[3];
    for (int b = 0; b < out.blocks(); b++) {
      int first = b * block;
      int end = Math.min(row.length, first + block);
      boolean whole = out.format().isWholeRow();
      GroupCode group =
          bits == 4
              ? bestClip(row, first, end)
              : GroupCode.of(8, largest(row, whole ? 0 : first, whole ? row.length : end) / 127, 0);
      out.setBlock(n, b, group.scale, group.zero);
      for (int k = first; k < end; k++) {
        out.setCode(n, k, group.code(row[k]));
        double error = Math.abs(group.error(row[k]));
        errors[0] = Math.max(errors[0], error);
        errors[1] += error * error;
        errors[2] += (double) row[k] * row[k];
      }
    }
    for (int i = 0; i < errors.length; i++) {
      report.set(n * errors.length + i, errors[i]);
    }
  }

  private static float largest(float[] row, int from, int to) {
    float largest = 0;
    for (int k = from; k < to; k++) {
      largest = Math.max(largest, Math.abs(row[k]));
    }
    return largest;
  }

  private static GroupCode bestClip(float[] row, int from, int to) {
    float lo = 0;
    float hi = 0;
    for (int k = from; k < to; k++) {
      lo = row[k] < lo ? row[k] : lo;
      hi = row[k] > hi ? row[k] : hi;
    }
    GroupCode best = null;
    float least = 0;
    for (float ratio : CLIP_RATIOS) {
      float low = ratio * lo;
      GroupCode group = GroupCode.of(4, ratio * hi / 15 - low / 15, low);
      float error = squaredError(row, from, to, group);
      if (best == null || error < least) {
        least = error;
        best = group;
      }
    }
    return best;
  }

  private static float squaredError(float[] row, int from, int to, GroupCode group) {
    float sum = 0;
    for (int k = from; k < to; k++) {
      float error = group.error(row[k]);
      sum = Math.fma(error, error, sum);
    }
    return sum;
  }

  @Override
  public void dequantize(QuantizedMatrix w, Tensor out, long first) {
    Elements weights = out.accessor();
    for (long n = 0; n < out.size(0); n++) {
      float[] row = w.row(first + n);
      for (int k = 0; k < row.length; k++) {
        weights.set(n * out.stride(0) + k, row[k]);
      }
    }
  }

  @Override
  public long blockRows() {
    return 48; // any number serves
  }

  @Override
  public Product product(Tensor a, List<QuantizedMatrix> weights) {
    return new Product() {
      @Override
      public void multiply(int i, Tensor out, long from, long to) {
        ReferenceQuant.multiply(a, weights.get(i), out, from, to);
      }

      @Override
      public void close() {}
    };
  }

  private static void multiply(Tensor a, QuantizedMatrix w, Tensor out, long from, long to) {
    Elements left = a.accessor();
    Elements product = out.accessor();
    for (long n = from; n < to; n++) {
      float[] row = w.row(n);
      for (long m = 0; m < a.size(0); m++) {
        double sum = 0;
        for (int k = 0; k < row.length; k++) {
          sum += left.get(m * a.stride(0) + k) * row[k];
        }
        product.set(m * out.stride(0) + n, sum);
      }
    }
  }
}
