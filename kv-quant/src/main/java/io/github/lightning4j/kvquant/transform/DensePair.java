package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.internal.HadamardMatrix;
import io.github.lightning4j.kvquant.internal.SymmetricMatrix;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A dense change of basis and its inverse, both {@code [dim, dim]} row by row, in double.
 *
 * <p>Keys are stored as {@code forward k}, queries become {@code inverse^T q}, and their product
 * stays {@code q . k}. Values are stored as {@code forward v}, and the output projection takes
 * {@code inverse} on its input side. Made to measure by {@link #wush}.
 *
 * @param dim channels of a head
 * @param forward the matrix T
 * @param inverse its inverse
 */
public record DensePair(int dim, double[] forward, double[] inverse) {
  /** The damping that WUSH-KV uses. */
  public static final double DAMPING = 1e-2;

  /**
   * Checks the sizes; the arrays are kept, not copied.
   *
   * @throws IllegalArgumentException if they do not fit
   */
  public DensePair {
    checkArgument(dim >= 1, "dim: expected >= 1, got %s", dim);
    checkSquare("forward", forward, dim);
    checkSquare("inverse", inverse, dim);
  }

  /**
   * WUSH-KV: the transform that, after rounding with one step for all channels, gives the least
   * error in what the layer computes.
   *
   * <pre>
   *   L L^T = H + damping tr(H) / dim I
   *   U diag(w) U^T = L^T (M + damping tr(M) / dim I) L
   *   T = c Had(dim) diag(w^(-1/4)) U^T L^T,   c = sqrt((1 + damping) tr(M) / sum sqrt(w))
   * </pre>
   *
   * <p>For keys {@code H = 2 sum q q^T} over the query heads of the kv head and {@code M = sum k
   * k^T}, both after the rotary embedding. For values {@code H = 2 sum W_O^T W_O} over the query
   * heads' column blocks of the output projection and {@code M = sum v v^T}. Cost: {@code dim^3}.
   *
   * @param weight H, symmetric and positive semidefinite, {@code [dim, dim]}
   * @param second M, likewise
   * @param dim channels of a head; has a Hadamard transform
   * @param damping above 0; {@link #DAMPING} as a rule
   * @throws IllegalArgumentException if sizes do not fit, or a matrix is not finite or has no
   *     positive trace: nothing was accumulated
   */
  public static DensePair wush(double[] weight, double[] second, int dim, double damping) {
    Hadamard.checkFits("dim", dim);
    checkArgument(damping > 0, "damping: expected > 0, got %s", damping);
    SymmetricMatrix h = damped("weight", weight, dim, damping);
    SymmetricMatrix m = damped("second", second, dim, damping);
    double[] lower = h.cholesky();
    SymmetricMatrix.Eigen eigen = m.congruent(lower).eigen();
    double roots = 0;
    for (double value : eigen.values()) {
      roots += Math.sqrt(value);
    }
    double c = Math.sqrt(m.trace() / roots);
    double[] forward = new double[dim * dim];
    double[] inverse = new double[dim * dim];
    for (int r = 0; r < dim; r++) {
      // Row r of U^T L^T and column r of L^-T U, for eigenvector u_r: L u_r and L^-T u_r.
      double fourth = Math.sqrt(Math.sqrt(eigen.values()[r]));
      double[] u = eigen.vector(r);
      double[] product = SymmetricMatrix.times(lower, u);
      double[] solution = SymmetricMatrix.solveTransposed(lower, u);
      for (int i = 0; i < dim; i++) {
        forward[r * dim + i] = c / fourth * product[i];
        inverse[i * dim + r] = fourth / c * solution[i];
      }
    }
    return new DensePair(dim, rotatedRows(forward, dim), rotatedColumns(inverse, dim));
  }

  private static SymmetricMatrix damped(String name, double[] values, int dim, double damping) {
    checkSquare(name, values, dim);
    SymmetricMatrix matrix = new SymmetricMatrix(values, dim);
    checkArgument(
        Double.isFinite(matrix.sumOfMagnitudes()) && matrix.trace() > 0,
        "%s: expected finite sums with a positive trace, got trace %s; was anything accumulated?",
        name,
        matrix.trace());
    return matrix.plusDiagonal(damping * matrix.trace() / dim);
  }

  private static double[] rotatedColumns(double[] matrix, int dim) {
    for (int r = 0; r < dim; r++) {
      double[] row = new double[dim];
      System.arraycopy(matrix, r * dim, row, 0, dim);
      HadamardMatrix.apply(row);
      System.arraycopy(row, 0, matrix, r * dim, dim);
    }
    return matrix;
  }

  private static double[] rotatedRows(double[] matrix, int dim) {
    double[] column = new double[dim];
    for (int c = 0; c < dim; c++) {
      for (int r = 0; r < dim; r++) {
        column[r] = matrix[r * dim + c];
      }
      HadamardMatrix.apply(column);
      for (int r = 0; r < dim; r++) {
        matrix[r * dim + c] = column[r];
      }
    }
    return matrix;
  }

  private static void checkSquare(String name, double[] matrix, int dim) {
    checkArgument(
        matrix.length == dim * dim,
        "%s: expected %s x %s elements, got %s",
        name,
        dim,
        dim,
        matrix.length);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof DensePair that
        && Arrays.equals(forward, that.forward)
        && Arrays.equals(inverse, that.inverse);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(forward);
  }
}
