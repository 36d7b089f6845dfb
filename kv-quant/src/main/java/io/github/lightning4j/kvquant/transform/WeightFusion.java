package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.HadamardMatrix;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Moves a change of basis into the projections around it, offline. Weights are {@code [out, in]};
 * all arithmetic is in double, rounded once to the type of the output.
 *
 * <pre>
 *   key        W_k' = P blockdiag(Had(G d)) W_k        row i of W_k' is row permutation[i] of the rotated
 *   value      W_v' = blockdiag(Had(d)) W_v            or blockdiag(T_V) W_v
 *   output     W_o' = W_o blockdiag(Had(d))            or W_o blockdiag(T_V^-1), per query head
 * </pre>
 *
 * <p>A bias is passed as a weight of shape {@code [out]}. Fusing keys is wrong where something
 * stands between their projection and the rotary embedding, such as a norm of each head: use {@link
 * GroupedRotation#rotate} there. Values and outputs can always be fused.
 */
public final class WeightFusion {
  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F64, DType.F32, DType.BF16, DType.F16);

  private WeightFusion() {}

  /**
   * The projection of keys into a basis.
   *
   * @param weight {@code [kvHeads headDim, in]} or a bias {@code [kvHeads headDim]}, F64, F32, BF16
   *     or F16
   * @param basis the basis of the layer
   * @param out as {@code weight}, of any of the types; may be {@code weight}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static void key(Tensor weight, GroupedBasis basis, Tensor out) {
    int[] order = basis.permutation();
    checkWeight(weight, 0, order.length, out);
    double[] rotated = new double[order.length];
    double[] column = new double[basis.size()];
    changeVectors(
        weight,
        0,
        out,
        values -> {
          for (int first = 0; first < rotated.length; first += column.length) {
            System.arraycopy(values, first, column, 0, column.length);
            HadamardMatrix.apply(column);
            System.arraycopy(column, 0, rotated, first, column.length);
          }
          for (int i = 0; i < order.length; i++) {
            values[i] = rotated[order[i]];
          }
        });
  }

  /**
   * The projection of values, rotated head by head.
   *
   * @param weight {@code [kvHeads headDim, in]} or a bias {@code [kvHeads headDim]}
   * @param headDim channels of a head; has a Hadamard transform
   * @param out as {@code weight}, of any of the types; may be {@code weight}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static void value(Tensor weight, int headDim, Tensor out) {
    rotateHeads(weight, 0, headDim, out);
  }

  /**
   * The output projection for rotated values: its input side takes back the rotation.
   *
   * @param weight {@code [out, heads headDim]}
   * @param headDim channels of a head; has a Hadamard transform
   * @param out as {@code weight}, of any of the types; may be {@code weight}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static void output(Tensor weight, int headDim, Tensor out) {
    Checks.rank("weight", weight, 2);
    rotateHeads(weight, 1, headDim, out);
  }

  private static void rotateHeads(Tensor weight, int side, int headDim, Tensor out) {
    Hadamard.checkFits("headDim", headDim);
    checkWeight(weight, side, weight.size(side) / headDim * headDim, out);
    double[] head = new double[headDim];
    changeVectors(
        weight,
        side,
        out,
        values -> {
          for (int first = 0; first < values.length; first += headDim) {
            System.arraycopy(values, first, head, 0, headDim);
            HadamardMatrix.apply(head);
            System.arraycopy(head, 0, values, first, headDim);
          }
        });
  }

  /**
   * The projection of values into dense bases.
   *
   * @param weight {@code [kvHeads headDim, in]} or a bias {@code [kvHeads headDim]}
   * @param pairs one a kv head
   * @param out as {@code weight}, of any of the types; may be {@code weight}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static void value(Tensor weight, List<DensePair> pairs, Tensor out) {
    int dim = pairs.get(0).dim();
    checkWeight(weight, 0, (long) pairs.size() * dim, out);
    changeVectors(
        weight,
        0,
        out,
        values -> {
          for (int h = 0; h < pairs.size(); h++) {
            product(pairs.get(h).forward(), dim, false, values, h * dim);
          }
        });
  }

  /**
   * The output projection for values in dense bases.
   *
   * @param weight {@code [out, heads headDim]}, heads a multiple of the pairs
   * @param pairs one a kv head, each serving its group of query heads
   * @param out as {@code weight}, of any of the types; may be {@code weight}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static void output(Tensor weight, List<DensePair> pairs, Tensor out) {
    Checks.rank("weight", weight, 2);
    int dim = pairs.get(0).dim();
    long kv = (long) pairs.size() * dim;
    checkArgument(
        weight.size(1) > 0 && weight.size(1) % kv == 0,
        "weight: expected query heads of %s channels in multiples of %s kv heads, got %s inputs",
        dim,
        pairs.size(),
        weight.size(1));
    checkWeight(weight, 1, weight.size(1), out);
    int group = Math.toIntExact(weight.size(1) / kv);
    changeVectors(
        weight,
        1,
        out,
        values -> {
          for (int h = 0; h < pairs.size() * group; h++) {
            product(pairs.get(h / group).inverse(), dim, true, values, h * dim);
          }
        });
  }

  /** {@code x = M x}, or {@code M^T x}, for a piece of a vector. */
  private static void product(double[] m, int dim, boolean transposed, double[] x, int first) {
    double[] y = new double[dim];
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j < dim; j++) {
        y[i] += (transposed ? m[j * dim + i] : m[i * dim + j]) * x[first + j];
      }
    }
    System.arraycopy(y, 0, x, first, dim);
  }

  private interface VectorChange {
    void apply(double[] values);
  }

  /** Applies a change to every vector that lies along a dimension: columns (0) or rows (1). */
  private static void changeVectors(Tensor weight, int side, Tensor out, VectorChange change) {
    int length = Math.toIntExact(weight.size(side));
    int others = weight.rank() == 1 ? 1 : Math.toIntExact(weight.size(1 - side));
    Elements from = weight.accessor();
    Elements to = out.accessor();
    double[] values = new double[length];
    for (long v = 0; v < others; v++) {
      long at = weight.rank() == 1 ? 0 : v * weight.stride(1 - side);
      long atOut = out.rank() == 1 ? 0 : v * out.stride(1 - side);
      for (int i = 0; i < length; i++) {
        values[i] = from.get(at + i * weight.stride(side));
      }
      change.apply(values);
      for (int i = 0; i < length; i++) {
        to.set(atOut + i * out.stride(side), values[i]);
      }
    }
  }

  private static void checkWeight(Tensor weight, int side, long expected, Tensor out) {
    Checks.dtype("weight", weight, WEIGHTS);
    checkArgument(
        weight.rank() == 1 || weight.rank() == 2,
        "weight: expected 1 or 2 dimensions, got %s",
        weight.rank());
    checkArgument(
        weight.size(side) == expected,
        "weight: expected %s channels along dimension %s, got %s",
        expected,
        side,
        weight.size(side));
    Checks.dtype("out", out, WEIGHTS);
    Checks.shape("out", out, weight.shape());
    Checks.writable("out", out);
    boolean same =
        out.address() == weight.address()
            && out.dtype() == weight.dtype()
            && IntStream.range(0, out.rank()).allMatch(i -> out.stride(i) == weight.stride(i));
    checkArgument(
        same || !Checks.overlap(weight, out),
        "out: expected weight itself or memory apart from it");
  }
}
