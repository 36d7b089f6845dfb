package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.nn.CudaFill;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.moe.internal.CudaExpertMatrix;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The weights of E SwiGLU experts on a GPU, in bf16, 8 or 4 bits, for {@link CudaMixtureOfExperts}.
 *
 * <p>The bytes are those of the host, expert after expert; only scales and zero points are
 * transposed, so that neighbours are rows. Immutable and safe to share between streams, until its
 * owner closes it, which must be after the work that reads it.
 */
public final class CudaExpertWeights implements AutoCloseable {
  /** Elements in 16 bytes of activations. */
  static final int VECTOR = 8;

  private final MemoryScope scope = new MemoryScope();
  private final CudaDevice device;
  private final @Nullable QuantFormat format;
  private final int experts;
  private final CudaExpertMatrix gate;
  private final CudaExpertMatrix up;
  private final CudaExpertMatrix down;
  private boolean closed;

  private CudaExpertWeights(
      CudaDevice device,
      int experts,
      long hidden,
      long intermediate,
      @Nullable QuantFormat format) {
    this.device = device;
    this.format = format;
    this.experts = experts;
    try {
      gate = matrix(intermediate, hidden);
      up = matrix(intermediate, hidden);
      down = matrix(hidden, intermediate);
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  private CudaExpertMatrix matrix(long rows, long columns) {
    return CudaExpertMatrix.allocate(device, experts, rows, columns, format, scope);
  }

  /**
   * Copies weights to the stream's GPU and waits until they are there. Nothing else is kept: the
   * host may close its own afterwards. Costs the bytes of the weights on the GPU, and for a moment
   * the scales of one matrix.
   *
   * @param weights {@link ExpertWeights} in BF16, or {@link QuantizedExpertWeights}; H and I
   *     multiples of 8
   * @throws IllegalArgumentException if sizes or the element type do not fit
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException with what was asked for and
   *     what is free; nothing is left allocated
   */
  public static CudaExpertWeights of(CudaStream stream, Experts weights) {
    multiple("H", weights.hidden());
    multiple("I", weights.intermediate());
    checkArgument(
        weights.device().equals(Device.CPU),
        "weights: expected those of the host, got experts on %s",
        weights.device());
    if (weights instanceof ExpertWeights plain) {
      Checks.dtype("weights", plain.gate().get(0), DType.BF16);
    }
    QuantFormat format =
        weights instanceof QuantizedExpertWeights quantized ? quantized.format() : null;
    CudaExpertWeights there =
        new CudaExpertWeights(
            stream.device(), weights.experts(), weights.hidden(), weights.intermediate(), format);
    try {
      for (int e = 0; e < weights.experts(); e++) {
        there.set(stream, e, weights);
      }
      stream.synchronize();
      return there;
    } catch (RuntimeException | Error e) {
      there.close();
      throw e;
    }
  }

  /**
   * Random weights, made on the GPU, of a mixture that is only to be measured: uniform with
   * variance 1 over the length of a row, so that activations keep their size.
   *
   * @param fill on the stream that the weights are then used on
   * @param hidden H, a multiple of 8
   * @param intermediate I, a multiple of 8
   * @param format null for bf16
   * @throws IllegalArgumentException if sizes do not fit
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException with what was asked for and
   *     what is free; nothing is left allocated
   */
  public static CudaExpertWeights random(
      CudaDevice device,
      CudaFill fill,
      int experts,
      long hidden,
      long intermediate,
      @Nullable QuantFormat format) {
    checkArgument(experts >= 1, "experts: expected >= 1, got %s", experts);
    multiple("H", hidden);
    multiple("I", intermediate);
    CudaExpertWeights there = new CudaExpertWeights(device, experts, hidden, intermediate, format);
    try {
      there.matrices().forEach(matrix -> matrix.fill(fill, format));
      return there;
    } catch (RuntimeException | Error e) {
      there.close();
      throw e;
    }
  }

  private static void multiple(String name, long size) {
    checkArgument(
        size % VECTOR == 0 && size <= Integer.MAX_VALUE / 2,
        "weights: expected %s to be a multiple of %s, for rows are read by 16 bytes, got %s",
        name,
        VECTOR,
        size);
  }

  private void set(CudaStream stream, int expert, Experts weights) {
    if (weights instanceof QuantizedExpertWeights quantized) {
      gate.set(stream, expert, quantized.gate(expert));
      up.set(stream, expert, quantized.up(expert));
      down.set(stream, expert, quantized.down(expert));
    } else {
      ExpertWeights plain = (ExpertWeights) weights;
      gate.set(stream, expert, plain.gate().get(expert));
      up.set(stream, expert, plain.up().get(expert));
      down.set(stream, expert, plain.down().get(expert));
    }
  }

  /** The number of experts E. */
  public int experts() {
    return experts;
  }

  /** The width H of what goes in and comes out. */
  public long hidden() {
    return gate.columns();
  }

  /** The width I between the two layers. */
  public long intermediate() {
    return gate.rows();
  }

  /** The GPU they are on. */
  public CudaDevice device() {
    return device;
  }

  /** How the weights are coded; null for bf16. */
  public @Nullable QuantFormat format() {
    return format;
  }

  /** The bytes held on the GPU. */
  public long bytes() {
    return gate.bytes() + up.bytes() + down.bytes();
  }

  /** W1, W3 and W2 of all experts. */
  List<CudaExpertMatrix> matrices() {
    checkState(!closed, "expert weights of %s are closed", device);
    return List.of(gate, up, down);
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "expert weights of %s are closed already", device);
    closed = true;
    scope.close();
  }
}
