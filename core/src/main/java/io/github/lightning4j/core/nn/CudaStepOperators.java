package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.internal.CudaSteps;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import java.util.EnumSet;
import java.util.Set;

/**
 * What a step of a model does on a GPU beside {@link CudaRowOperators}: the gated norm behind
 * lightning attention, changes of type, embeddings from quantized tables, counters of positions.
 * Calls put work on a stream and return; tensors must stay open until it has ended.
 *
 * <p>Types of one call may differ: F32, BF16 or F16 each. Arithmetic is fp32, results are rounded
 * once, to nearest even; each operand is read once, and the same input gives the same bits. T = 0
 * and H = 0 do nothing. The first call with new types or widths compiles kernels; make it before
 * recording a graph.
 */
public final class CudaStepOperators {
  private static final Set<DType> FLOATS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;
  private final CudaSteps kernels;

  private CudaStepOperators(CudaStream stream) {
    this.stream = stream;
    this.kernels = new CudaSteps(stream);
  }

  /** Operators whose work goes to a stream. */
  public static CudaStepOperators on(CudaStream stream) {
    return new CudaStepOperators(stream);
  }

  /**
   * The norm that follows lightning attention, with its gate: {@code out[t] = sigmoid(gate[t]) *
   * weight * x[t] / sqrt(mean(x[t]^2) + eps)}. A row is all heads of a token. A NaN in a row of x
   * spoils that row, one in gate its element.
   *
   * @param x {@code [T, H]}
   * @param gate {@code [T, H]}, before the sigmoid
   * @param weight {@code [H]}, contiguous
   * @param eps added to the mean square, {@code >= 0}
   * @param out {@code [T, H]}; may be x or gate, if it has that type
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or out overlaps an
   *     input without being it
   */
  public void gatedNorm(Tensor x, Tensor gate, Tensor weight, float eps, Tensor out) {
    rows("x", x, x);
    rows("gate", gate, x);
    stream.check("weight", weight);
    Checks.dtype("weight", weight, FLOATS);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    rows("out", out, x);
    inPlaceOrApart("x", x, out);
    inPlaceOrApart("gate", gate, out);
    checkArgument(!Checks.overlap(weight, out), "weight: must not overlap what is written");
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    if (x.elements() > 0) {
      kernels.gatedNorm(x, gate, weight, eps, out);
    }
  }

  /**
   * Changes the type: {@code out[t] = x[t]}.
   *
   * @param x {@code [T, H]}
   * @param out {@code [T, H]}; may be x, if it has that type
   * @throws IllegalArgumentException as above
   */
  public void convert(Tensor x, Tensor out) {
    rows("x", x, x);
    rows("out", out, x);
    inPlaceOrApart("x", x, out);
    if (x.elements() > 0) {
      kernels.convert(x, out);
    }
  }

  /**
   * Embedding lookup in a quantized table: {@code out[t] = table[ids[t]]}, exact but for the
   * rounding of out. A row whose id is outside the table becomes NaN.
   *
   * @param table {@code [V, H]}
   * @param ids {@code [T]} I32
   * @param out {@code [T, H]}
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public void gatherRows(CudaQuantizedMatrix table, Tensor ids, Tensor out) {
    stream.check("table", table.image());
    counters("ids", ids);
    stream.check("out", out);
    Checks.matrix("out", out, FLOATS);
    Checks.shape("out", out, ids.size(0), table.columns());
    checkArgument(
        !Checks.overlap(table.image(), out) && !Checks.overlap(ids, out),
        "out: must not overlap table or ids");
    checkArgument(
        table.rows() <= Integer.MAX_VALUE && table.columns() <= Integer.MAX_VALUE / 2,
        "table: expected a smaller one, got %s",
        table);
    if (out.elements() > 0) {
      kernels.gatherRows(table, ids, out);
    }
  }

  /**
   * Adds to counters on the GPU, as the positions of a recorded decode step: {@code counters[i] +=
   * by} where it is not negative; negative ones, of places nobody has, stay.
   *
   * @param counters {@code [B]} I32, contiguous
   * @param by what is added
   * @throws IllegalArgumentException as above
   */
  public void advance(Tensor counters, int by) {
    counters("counters", counters);
    if (counters.elements() > 0) {
      kernels.advance(counters, by);
    }
  }

  private void rows(String name, Tensor tensor, Tensor like) {
    stream.check(name, tensor);
    Checks.matrix(name, tensor, FLOATS);
    Checks.shape(name, tensor, like.shape());
    checkArgument(
        tensor.size(1) <= Integer.MAX_VALUE / 2, "%s: expected shorter rows, got %s", name, tensor);
  }

  private void counters(String name, Tensor tensor) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, DType.I32);
    Checks.rank(name, tensor, 1);
    Checks.contiguous(name, tensor);
  }

  private static void inPlaceOrApart(String name, Tensor input, Tensor out) {
    boolean same = input.dtype() == out.dtype();
    checkArgument(
        same || !Checks.overlap(input, out),
        "%s: expected memory apart from out, which has another type",
        name);
    if (same) {
      RowOperators.checkInPlaceOrApart(name, input, out);
    }
  }
}
