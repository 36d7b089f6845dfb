package io.github.lightning4j.kvquant.internal;

import java.util.Arrays;

/** A small symmetric matrix in double, and the decompositions that calibration needs. */
public final class SymmetricMatrix {
  private static final int MOST_SWEEPS = 60;

  private final double[] a;
  private final int n;

  /** Of {@code n x n} elements, copied; the lower triangle is mirrored. */
  public SymmetricMatrix(double[] elements, int n) {
    this.n = n;
    a = elements.clone();
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        a[j * n + i] = a[i * n + j];
      }
    }
  }

  /** The sum of the diagonal. */
  public double trace() {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += a[i * n + i];
    }
    return sum;
  }

  /** Not finite if an element is not. */
  public double sumOfMagnitudes() {
    return Arrays.stream(a).map(Math::abs).sum();
  }

  /** This plus a multiple of the identity. */
  public SymmetricMatrix plusDiagonal(double value) {
    var sum = new SymmetricMatrix(a, n);
    for (int i = 0; i < n; i++) {
      sum.a[i * n + i] += value;
    }
    return sum;
  }

  /**
   * L, lower triangular, with {@code L L^T} = this.
   *
   * @throws IllegalArgumentException if this is not positive definite
   */
  public double[] cholesky() {
    double[] l = new double[n * n];
    for (int j = 0; j < n; j++) {
      for (int i = j; i < n; i++) {
        double sum = a[i * n + j];
        for (int k = 0; k < j; k++) {
          sum -= l[i * n + k] * l[j * n + k];
        }
        if (i == j && !(sum > 0)) {
          throw new IllegalArgumentException(
              "matrix: expected a positive definite one, got pivot " + sum + " at " + j);
        }
        l[i * n + j] = i == j ? Math.sqrt(sum) : sum / l[j * n + j];
      }
    }
    return l;
  }

  /** {@code L^T this L} for a lower triangular L. */
  public SymmetricMatrix congruent(double[] lower) {
    double[] half = new double[n * n]; // this L
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < n; k++) {
        for (int j = 0; j <= k; j++) {
          half[i * n + j] += a[i * n + k] * lower[k * n + j];
        }
      }
    }
    double[] product = new double[n * n];
    for (int k = 0; k < n; k++) {
      for (int i = 0; i <= k; i++) {
        for (int j = 0; j < n; j++) {
          product[i * n + j] += lower[k * n + i] * half[k * n + j];
        }
      }
    }
    return new SymmetricMatrix(product, n);
  }

  /** {@code L x}. */
  public static double[] times(double[] lower, double[] x) {
    int n = x.length;
    double[] y = new double[n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        y[i] += lower[i * n + j] * x[j];
      }
    }
    return y;
  }

  /** {@code L^-T b}. */
  public static double[] solveTransposed(double[] lower, double[] b) {
    int n = b.length;
    double[] x = b.clone();
    for (int i = n - 1; i >= 0; i--) {
      for (int k = i + 1; k < n; k++) {
        x[i] -= lower[k * n + i] * x[k];
      }
      x[i] /= lower[i * n + i];
    }
    return x;
  }

  /**
   * Eigenvalues and vectors by cyclic Jacobi rotations: slow, short, and accurate for the small
   * eigenvalues too.
   */
  public Eigen eigen() {
    double[] d = a.clone();
    double[] v = new double[n * n]; // row r becomes eigenvector r
    for (int i = 0; i < n; i++) {
      v[i * n + i] = 1;
    }
    for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
      boolean rotated = false;
      for (int p = 0; p < n; p++) {
        for (int q = p + 1; q < n; q++) {
          rotated |= rotate(d, v, p, q);
        }
      }
      if (!rotated) {
        break;
      }
    }
    double[] values = new double[n];
    for (int i = 0; i < n; i++) {
      values[i] = d[i * n + i];
    }
    return new Eigen(values, v);
  }

  /** Makes d[p][q] zero; false if it is negligible already. */
  private boolean rotate(double[] d, double[] v, int p, int q) {
    double off = d[p * n + q];
    double negligible = 1e-15 * Math.sqrt(Math.abs(d[p * n + p] * d[q * n + q]));
    if (Math.abs(off) <= negligible) {
      return false;
    }
    double theta = (d[q * n + q] - d[p * n + p]) / (2 * off);
    double t = Math.copySign(1, theta) / (Math.abs(theta) + Math.hypot(theta, 1));
    double c = 1 / Math.hypot(t, 1);
    double s = t * c;
    for (int k = 0; k < n; k++) {
      double kp = d[k * n + p];
      double kq = d[k * n + q];
      d[k * n + p] = c * kp - s * kq;
      d[k * n + q] = s * kp + c * kq;
    }
    rotateRows(d, p, q, c, s);
    rotateRows(v, p, q, c, s);
    return true;
  }

  private void rotateRows(double[] m, int p, int q, double c, double s) {
    for (int k = 0; k < n; k++) {
      double pk = m[p * n + k];
      double qk = m[q * n + k];
      m[p * n + k] = c * pk - s * qk;
      m[q * n + k] = s * pk + c * qk;
    }
  }

  /**
   * An eigenvalue decomposition.
   *
   * @param values in no order
   * @param vectors one a row, of length 1
   */
  public record Eigen(double[] values, double[] vectors) {
    /** Eigenvector r. */
    public double[] vector(int r) {
      int n = values.length;
      return Arrays.copyOfRange(vectors, r * n, (r + 1) * n);
    }
  }
}
