package io.github.lightning4j.attention;

import io.github.lightning4j.core.Tensor;

/**
 * Lightning attention of one head as a direct implementation over bf16 tensors gives it, in chunks
 * of 256 tokens: each operand of a product and each result of an operation is rounded to bf16,
 * products are summed in fp32, the state is fp32. What a kernel for bf16 must at least be as exact
 * as.
 *
 * <pre>
 * O  = (Q diag(lambda^(i+1))) S + ((Q K^T) * D) V
 * S' = lambda^m S + (diag(lambda^(m-1-j)) K)^T V
 * </pre>
 */
final class NaiveBf16 {
  private static final int CHUNK = 256;

  final float[][] out;
  final float[][] state;
  private final float[][] q;
  private final float[][] k;
  private final float[][] v;
  private final double logDecay;

  NaiveBf16(Problem p, long b, int h) {
    this.q = read(Problem.head(p.q, b, h), p.options);
    for (float[] row : q) {
      for (int d = 0; d < row.length; d++) {
        row[d] = round(row[d] * p.options.scale());
      }
    }
    this.k = read(Problem.head(p.k, b, h), p.options);
    this.v = read(Problem.head(p.v, b, h), p.options);
    this.logDecay = p.decay.logDecay(h);
    double[][] initial = Problem.rows(Problem.state(p.initial, b, h));
    this.state = new float[initial.length][initial[0].length];
    for (int d = 0; d < state.length; d++) {
      for (int e = 0; e < state[d].length; e++) {
        state[d][e] = (float) initial[d][e];
      }
    }
    this.out = new float[q.length][state[0].length];
    for (int t = 0; t < q.length; t += CHUNK) {
      int m = Math.min(CHUNK, q.length - t);
      for (int i = 0; i < m; i++) {
        addOutput(t, i);
      }
      advance(t, m);
    }
  }

  private void addOutput(int t, int i) {
    float[] row = q[t + i];
    float inward = power(i + 1);
    float[] scores = new float[i + 1];
    for (int j = 0; j <= i; j++) {
      float sum = 0;
      for (int d = 0; d < row.length; d++) {
        sum += row[d] * k[t + j][d];
      }
      scores[j] = round(round(sum) * power(i - j));
    }
    for (int e = 0; e < out[t + i].length; e++) {
      float across = 0;
      for (int d = 0; d < row.length; d++) {
        across += round(row[d] * inward) * round(state[d][e]);
      }
      float within = 0;
      for (int j = 0; j <= i; j++) {
        within += scores[j] * v[t + j][e];
      }
      out[t + i][e] = round(round(across) + round(within));
    }
  }

  private void advance(int t, int m) {
    float decay = (float) Math.exp(logDecay * m);
    for (int d = 0; d < state.length; d++) {
      float[] keys = new float[m];
      for (int j = 0; j < m; j++) {
        keys[j] = round(k[t + j][d] * power(m - 1 - j));
      }
      for (int e = 0; e < state[d].length; e++) {
        float sum = 0;
        for (int j = 0; j < m; j++) {
          sum += keys[j] * v[t + j][e];
        }
        state[d][e] = decay * state[d][e] + round(sum);
      }
    }
  }

  private float power(int exponent) {
    return round((float) Math.exp(logDecay * exponent));
  }

  private static float[][] read(Tensor x, Options options) {
    double[][] rows = Problem.rows(x);
    float[][] read = new float[rows.length][(int) x.size(1)];
    for (int t = 0; t < rows.length; t++) {
      for (int d = 0; d < read[t].length; d++) {
        double value = rows[t][d];
        read[t][d] = round((float) (options.silu() ? value / (1 + Math.exp(-value)) : value));
      }
    }
    return read;
  }

  private static float round(float x) {
    int bits = Float.floatToRawIntBits(x);
    return Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
  }

  static double[] flat(float[][] rows) {
    int n = rows.length == 0 ? 0 : rows[0].length;
    double[] flat = new double[rows.length * n];
    for (int i = 0; i < flat.length; i++) {
      flat[i] = rows[i / n][i % n];
    }
    return flat;
  }
}
