package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.internal.CudaSampling;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Picks tokens from logits on a GPU, each row by options of its own: repetition penalty,
 * temperature, then top-k, top-p and min-p over the remaining probabilities, then one random
 * number; greedy where the temperature is 0, ties go to the lowest id. The ids stay on the GPU,
 * where they are the input of the next step.
 *
 * <p><b>Random numbers.</b> The number of a row's draw and its seed give the uniform number: that
 * of the n-th {@code nextDouble()} of a {@link java.util.SplittableRandom} of that seed. So a row's
 * tokens do not depend on what else is in the batch.
 *
 * <p><b>Numerics.</b> Probabilities are computed in double, rounded to fp32 and summed as integers
 * of 2^-44 of the largest: sums are the same in any order, and less than 2^-44 is never drawn. NaN
 * is never chosen. A row without a finite score, or whose largest is infinite, gives -1.
 *
 * <p><b>Cost.</b> The logits are read once, scores four bytes each written once and read up to ten
 * times, the last of it by one block a row. Three launches; nothing waits. The first call with new
 * types compiles kernels; make it before recording a graph.
 */
public final class CudaSampler {
  private static final Set<DType> FLOATS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;

  private CudaSampler(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaSampler on(CudaStream stream) {
    return new CudaSampler(stream);
  }

  /**
   * How a row is sampled.
   *
   * @param temperature divides the logits; 0 for the largest
   * @param topK how many of the likeliest remain; 0 for all
   * @param topP the mass of which the fewest likeliest tokens remain, in {@code (0, 1]}
   * @param minP tokens less likely than the likeliest by this factor are dropped, in {@code [0, 1]}
   * @param repetitionPenalty divides positive logits of tokens seen, multiplies negative ones
   */
  public record Options(
      double temperature, int topK, double topP, double minP, double repetitionPenalty) {
    /** How many numbers a row of options has. */
    public static final int COUNT = 5;

    /** The largest logit. */
    public static final Options GREEDY = new Options(0, 0, 1, 0, 1);

    /**
     * Validates.
     *
     * @throws IllegalArgumentException if a number is out of its range
     */
    public Options {
      checkArgument(
          temperature >= 0 && temperature < Double.POSITIVE_INFINITY,
          "temperature: expected >= 0 and finite, got %s",
          temperature);
      checkArgument(topK >= 0, "topK: expected >= 0, got %s", topK);
      checkArgument(topP > 0 && topP <= 1, "topP: expected 0 < topP <= 1, got %s", topP);
      checkArgument(minP >= 0 && minP <= 1, "minP: expected 0 to 1, got %s", minP);
      checkArgument(
          repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY,
          "repetitionPenalty: expected > 0 and finite, got %s",
          repetitionPenalty);
    }

    /** As a row of the options of {@link CudaSampler#sample}. */
    public double[] toArray() {
      return new double[] {temperature, topK, topP, minP, repetitionPenalty};
    }
  }

  /** The elements of the I64 scratch memory for B rows of V logits. */
  public static long scratchElements(long rows, long vocabulary) {
    return rows * CudaRowOperators.argmaxParts(vocabulary) + (rows * vocabulary + 1) / 2;
  }

  /**
   * Picks a token for each row.
   *
   * @param logits {@code [B, V]} F32, BF16 or F16, V at least 1; not changed
   * @param options {@code [B, 5]} F64: {@link Options#toArray} of each row
   * @param seeds {@code [B]} I64
   * @param draws {@code [B]} I32: how many numbers each seed has given before
   * @param seen {@code [B, V]} U8, not 0 for tokens that are part of the text; the token picked is
   *     marked. Null for none
   * @param scratch {@code [scratchElements(B, V)]} I64
   * @param out {@code [B]} I32
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or something overlaps
   */
  public void sample(
      Tensor logits,
      Tensor options,
      Tensor seeds,
      Tensor draws,
      @Nullable Tensor seen,
      Tensor scratch,
      Tensor out) {
    stream.check("logits", logits);
    Checks.matrix("logits", logits, FLOATS);
    long b = logits.size(0);
    long v = logits.size(1);
    checkArgument(
        v >= 1 && v < Integer.MAX_VALUE / 2 && b < 1 << 16,
        "logits: expected up to 65535 rows of at least one, got %s",
        logits);
    dense("options", options, DType.F64, b, Options.COUNT);
    dense("seeds", seeds, DType.I64, b);
    dense("draws", draws, DType.I32, b);
    dense("scratch", scratch, DType.I64, scratchElements(b, v));
    dense("out", out, DType.I32, b);
    if (seen != null) {
      dense("seen", seen, DType.U8, b, v);
    }
    apart("scratch", scratch, logits, options, seeds, draws, seen, out);
    apart("out", out, logits, options, seeds, draws, seen);
    apart("seen", seen, logits, options, seeds, draws);
    if (b > 0) {
      int parts = CudaRowOperators.argmaxParts(v);
      CudaSampling.run(
          stream,
          new CudaSampling.Call(
              logits,
              options,
              seeds,
              draws,
              seen,
              scratch.narrow(0, 0, b * parts).reshape(b, parts),
              scratch.narrow(0, b * parts, (b * v + 1) / 2),
              out));
    }
  }

  private void dense(String name, Tensor tensor, DType type, long... shape) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, type);
    Checks.shape(name, tensor, shape);
    Checks.contiguous(name, tensor);
  }

  private static void apart(String name, @Nullable Tensor out, @Nullable Tensor... others) {
    for (Tensor other : others) {
      checkArgument(
          out == null || other == null || !Checks.overlap(out, other),
          "%s: expected memory of its own, got an overlap with %s",
          name,
          other);
    }
  }
}
