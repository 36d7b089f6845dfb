package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizationError;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.ArrayList;
import java.util.List;

/**
 * The weights of E experts in 8 or 4 bits, in memory of their own. They can be used, not trained:
 * there are no gradients.
 *
 * <p>Immutable and safe to share between threads, until its owner closes it.
 */
public final class QuantizedExpertWeights implements Experts, AutoCloseable {
  private final QuantFormat format;
  private final List<QuantizedMatrix> gate = new ArrayList<>();
  private final List<QuantizedMatrix> up = new ArrayList<>();
  private final List<QuantizedMatrix> down = new ArrayList<>();
  private boolean closed;

  private QuantizedExpertWeights(QuantFormat format) {
    this.format = format;
  }

  /**
   * Quantizes weights expert by expert. Each weight is read once and nothing else is kept, so
   * experts of a mapped checkpoint pass through memory without a second copy.
   *
   * @param weights only read; may be closed afterwards
   * @throws IllegalArgumentException if a weight is NaN or infinite, naming matrix, row and column
   */
  public static QuantizedExpertWeights quantize(ExpertWeights weights, QuantFormat format) {
    QuantizedExpertWeights quantized = new QuantizedExpertWeights(format);
    try {
      for (int e = 0; e < weights.experts(); e++) {
        quantized.gate.add(matrix("gate", e, weights.gate().get(e), format));
        quantized.up.add(matrix("up", e, weights.up().get(e), format));
        quantized.down.add(matrix("down", e, weights.down().get(e), format));
      }
      return quantized;
    } catch (RuntimeException | Error e) {
      quantized.close();
      throw e;
    }
  }

  /**
   * Experts whose matrices are quantized already.
   *
   * @param gate W1 of each expert, {@code [I, H]}
   * @param up W3 of each expert, {@code [I, H]}
   * @param down W2 of each expert, {@code [H, I]}
   * @return the experts; closing them closes the matrices
   * @throws IllegalArgumentException if there are none, or their number, shapes or formats differ
   */
  public static QuantizedExpertWeights of(
      List<QuantizedMatrix> gate, List<QuantizedMatrix> up, List<QuantizedMatrix> down) {
    checkArgument(!gate.isEmpty(), "gate: expected at least one expert, got none");
    checkArgument(
        up.size() == gate.size() && down.size() == gate.size(),
        "up and down: expected %s experts, got %s and %s",
        gate.size(),
        up.size(),
        down.size());
    QuantizedMatrix first = gate.get(0);
    for (int e = 0; e < gate.size(); e++) {
      check("gate[" + e + "]", gate.get(e), first, first.rows(), first.columns());
      check("up[" + e + "]", up.get(e), first, first.rows(), first.columns());
      check("down[" + e + "]", down.get(e), first, first.columns(), first.rows());
    }
    QuantizedExpertWeights weights = new QuantizedExpertWeights(first.format());
    weights.gate.addAll(gate);
    weights.up.addAll(up);
    weights.down.addAll(down);
    return weights;
  }

  private static void check(
      String name, QuantizedMatrix matrix, QuantizedMatrix first, long rows, long columns) {
    checkArgument(
        matrix.format().equals(first.format())
            && matrix.rows() == rows
            && matrix.columns() == columns,
        "%s: expected %s[%s, %s] as gate[0] asks for, got %s",
        name,
        first.format(),
        rows,
        columns,
        matrix);
  }

  private static QuantizedMatrix matrix(String name, int expert, Tensor w, QuantFormat format) {
    try {
      return QuantizedMatrix.quantize(w, format);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(name + "[" + expert + "]: " + e.getMessage(), e);
    }
  }

  /** How the weights are coded. */
  public QuantFormat format() {
    return format;
  }

  /** W1 of an expert, {@code [I, H]}. */
  public QuantizedMatrix gate(int expert) {
    return gate.get(expert);
  }

  /** W3 of an expert, {@code [I, H]}. */
  public QuantizedMatrix up(int expert) {
    return up.get(expert);
  }

  /** W2 of an expert, {@code [H, I]}. */
  public QuantizedMatrix down(int expert) {
    return down.get(expert);
  }

  /** What quantization changed in the three matrices of an expert together. */
  public QuantizationError error(int expert) {
    return gate(expert).error().plus(up(expert).error()).plus(down(expert).error());
  }

  /** The bytes held outside the heap. */
  public long bytes() {
    long bytes = 0;
    for (int e = 0; e < experts(); e++) {
      bytes += gate(e).bytes() + up(e).bytes() + down(e).bytes();
    }
    return bytes;
  }

  @Override
  public int experts() {
    return gate.size();
  }

  @Override
  public long hidden() {
    return gate(0).columns();
  }

  @Override
  public long intermediate() {
    return gate(0).rows();
  }

  @Override
  public Device device() {
    return Device.CPU;
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "quantized experts are closed already");
    closed = true;
    gate.forEach(QuantizedMatrix::close);
    up.forEach(QuantizedMatrix::close);
    down.forEach(QuantizedMatrix::close);
  }
}
