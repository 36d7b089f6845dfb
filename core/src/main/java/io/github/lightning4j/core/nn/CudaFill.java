package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.internal.CudaFills;

/**
 * Fills memory of a GPU with numbers that seem to be random: weights of models that are only to be
 * measured are made where they are needed, at the speed of memory. The n-th fill of a seed gives
 * the same bits always. Calls put work on a stream and return. Not thread-safe.
 */
public final class CudaFill {
  private static final int ALIGNMENT = 16;

  /** Seeds of fills are so far apart, in words. */
  private static final long APART = 1L << 40;

  private final CudaStream stream;
  private long next;

  private CudaFill(CudaStream stream, long seed) {
    this.stream = stream;
    this.next = seed;
  }

  /** Fills on a stream, from a seed on. */
  public static CudaFill on(CudaStream stream, long seed) {
    return new CudaFill(stream, seed);
  }

  /**
   * Random bits.
   *
   * @param out of any type, contiguous, whole words of 4 bytes at a multiple of 16 bytes
   * @throws IllegalArgumentException if it is otherwise, or on another device than the stream
   */
  public void bits(Tensor out) {
    fill(CudaFills.Kind.BITS, 0, 0, out);
  }

  /**
   * Random numbers, uniform in {@code [-limit, limit)} in steps of {@code limit / 32768}, rounded.
   *
   * @param limit finite
   * @param out BF16, as above
   * @throws IllegalArgumentException as above
   */
  public void uniform(double limit, Tensor out) {
    checkArgument(Double.isFinite(limit), "limit: expected a finite number, got %s", limit);
    Checks.dtype("out", out, DType.BF16);
    fill(CudaFills.Kind.UNIFORM, limit, 0, out);
  }

  /**
   * One number throughout, rounded.
   *
   * @param out as above
   * @throws IllegalArgumentException as above
   */
  public void constant(double value, Tensor out) {
    Checks.dtype("out", out, DType.BF16);
    constantBits(value, out);
  }

  /** As {@link #constant}, into memory of any type that holds the bits of BF16. */
  public void constantBits(double value, Tensor out) {
    int bits = Bfloat16.fromFloat((float) value) & 0xffff;
    fill(CudaFills.Kind.CONSTANT, 0, bits << Short.SIZE | bits, out);
  }

  /**
   * One byte throughout.
   *
   * @param value 0 to 255
   * @param out of any type, as above
   * @throws IllegalArgumentException as above, or if the value is none of a byte
   */
  public void bytes(int value, Tensor out) {
    checkArgument(value >= 0 && value <= 0xff, "value: expected 0 to 255, got %s", value);
    fill(CudaFills.Kind.CONSTANT, 0, value * 0x01010101, out);
  }

  private void fill(CudaFills.Kind kind, double limit, int word, Tensor out) {
    stream.check("out", out);
    Checks.contiguous("out", out);
    Checks.writable("out", out);
    checkArgument(
        out.deviceAddress() % ALIGNMENT == 0
            && out.elements() * out.dtype().bytes() % Integer.BYTES == 0,
        "out: expected whole words of 4 bytes at a multiple of %s bytes, got %s",
        ALIGNMENT,
        out);
    if (out.elements() > 0) {
      CudaFills.fill(stream, kind, next, (float) limit, word, out);
    }
    next += APART;
  }
}
