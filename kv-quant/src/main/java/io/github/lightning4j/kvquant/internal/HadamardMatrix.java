package io.github.lightning4j.kvquant.internal;

import java.util.Arrays;

/**
 * Products with Had(n) in double.
 *
 * <pre>
 *   n = 2^k       Had(n) = H(2) x ... x H(2) / sqrt(n),   H(2) = [1 1; 1 -1],   x the Kronecker product
 *   n = 12 2^k    Had(n) = H(12) x H(2) x ... / sqrt(n)
 *   H(12) = C x [1 1; 1 -1] + I(6) x [1 -1; -1 -1]
 * </pre>
 *
 * <p>C is the symmetric conference matrix of order 6: a zero diagonal, a border of ones, and within
 * it +1 where the difference of the indices is a square modulo 5 (Paley's second construction). All
 * of them are symmetric and orthogonal.
 */
public final class HadamardMatrix {
  private static final int TWELVE = 12;

  private HadamardMatrix() {}

  /** Whether there is a transform of this size: {@code 2^k} or {@code 12 2^k}, up to 4096. */
  public static boolean fits(int n) {
    return n >= 1 && n <= 4096 && (isPower(n) || n % TWELVE == 0 && isPower(n / TWELVE));
  }

  private static boolean isPower(int n) {
    return Integer.bitCount(n) == 1;
  }

  /** {@code x = Had(x.length) x}. Cost: {@code n log n}. */
  public static void apply(double[] x) {
    int twos = x.length % TWELVE == 0 ? x.length / TWELVE : x.length;
    for (int step = 1; step < twos; step *= 2) {
      for (int i = 0; i < x.length; i++) {
        if ((i & step) == 0) { // twos divides the length, so no pair leaves its block
          double a = x[i];
          double b = x[i + step];
          x[i] = a + b;
          x[i + step] = a - b;
        }
      }
    }
    if (twos < x.length) {
      acrossTwelve(x, twos);
    }
    double scale = 1 / Math.sqrt(x.length);
    for (int i = 0; i < x.length; i++) {
      x[i] *= scale;
    }
  }

  /** {@code x = Had(n) x} for each n neighbours. */
  static double[] applyToBlocks(double[] x, int n) {
    for (int first = 0; first < x.length; first += n) {
      double[] block = Arrays.copyOfRange(x, first, first + n);
      apply(block);
      System.arraycopy(block, 0, x, first, n);
    }
    return x;
  }

  /**
   * {@code x = Had(x.length) x} in fp32, to the bit as {@code hadamard.h} does it: strides 1, 2, 4,
   * ..., then twelve across, then one multiplication.
   */
  static void apply(float[] x) {
    int twos = x.length % TWELVE == 0 ? x.length / TWELVE : x.length;
    for (int step = 1; step < twos; step *= 2) {
      for (int i = 0; i < x.length; i++) {
        if ((i & step) == 0) {
          float a = x[i];
          float b = x[i + step];
          x[i] = a + b;
          x[i + step] = a - b;
        }
      }
    }
    for (int i = 0; twos < x.length && i < twos; i++) {
      acrossTwelve(x, i, twos);
    }
    float scale = (float) (1 / Math.sqrt(x.length));
    for (int i = 0; i < x.length; i++) {
      x[i] *= scale;
    }
  }

  /** As one of H(12) over sums s and differences d of pairs: {@code C s + d, C d - s}. */
  private static void acrossTwelve(float[] x, int at, int apart) {
    float[] s = new float[TWELVE / 2];
    float[] d = new float[TWELVE / 2];
    for (int j = 0; j < s.length; j++) {
      float a = x[at + 2 * j * apart];
      float b = x[at + (2 * j + 1) * apart];
      s[j] = a + b;
      d[j] = a - b;
    }
    for (int i = 0; i < s.length; i++) {
      float even = d[i];
      float odd = -s[i];
      for (int j = 0; j < s.length; j++) {
        if (j != i) {
          even = conference(i, j) > 0 ? even + s[j] : even - s[j];
          odd = conference(i, j) > 0 ? odd + d[j] : odd - d[j];
        }
      }
      x[at + 2 * i * apart] = even;
      x[at + (2 * i + 1) * apart] = odd;
    }
  }

  private static void acrossTwelve(double[] x, int apart) {
    double[] column = new double[TWELVE];
    for (int i = 0; i < apart; i++) {
      for (int r = 0; r < TWELVE; r++) {
        column[r] = x[r * apart + i];
      }
      for (int r = 0; r < TWELVE; r++) {
        double sum = 0;
        for (int c = 0; c < TWELVE; c++) {
          sum += twelve(r, c) * column[c];
        }
        x[r * apart + i] = sum;
      }
    }
  }

  /** An element of H(12). */
  private static int twelve(int row, int column) {
    int r = row / 2;
    int c = column / 2;
    boolean odd = row % 2 == 1;
    boolean oddColumn = column % 2 == 1;
    if (r == c) {
      return odd || oddColumn ? -1 : 1;
    }
    return odd && oddColumn ? -conference(r, c) : conference(r, c);
  }

  /** An element of C off its diagonal. */
  private static int conference(int r, int c) {
    return r == 0 || c == 0 || (r - c) * (r - c) % 5 == 1 ? 1 : -1;
  }
}
