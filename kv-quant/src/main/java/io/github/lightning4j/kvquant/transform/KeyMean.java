package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.TransformKernels;

/**
 * Takes the calibrated mean out of a layer's keys before the rotary embedding, and puts it back.
 *
 * <pre>centred[t] = k[t] - mean        k[t] = centred[t] + mean</pre>
 *
 * <p>What ordering channels by their mean makes small, subtracting it removes. Where the projection
 * has a bias it can be fused: {@code bias - mean}. Closed by whoever made it.
 */
public final class KeyMean implements AutoCloseable {
  private final TransformKernels kernels;
  private final Tensor mean;

  private KeyMean(float[] mean, Backend backend) {
    kernels = TransformKernels.of(backend);
    this.mean = Tensor.of(mean, mean.length);
  }

  /**
   * With the fastest implementation of this machine.
   *
   * @param mean of each channel, {@code [kvHeads headDim]}, copied
   */
  public static KeyMean best(float[] mean) {
    return of(mean, KvQuantKernels.library().preferred());
  }

  /**
   * With a certain implementation.
   *
   * @throws IllegalArgumentException if a mean is not finite
   * @throws IllegalStateException if the implementation is not available, with the reason
   */
  public static KeyMean of(float[] mean, Backend backend) {
    for (int i = 0; i < mean.length; i++) {
      checkArgument(Float.isFinite(mean[i]), "mean[%s]: expected a finite one", i);
    }
    return new KeyMean(mean, backend);
  }

  /**
   * Subtracts the mean.
   *
   * @param k {@code [T, kvHeads headDim]} F32, before the rotary embedding; dense last dimension
   * @param out as {@code k}; may be {@code k}, must not overlap it otherwise
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void subtract(Tensor k, Tensor out) {
    add(k, -1, out);
  }

  /** Adds the mean; arguments as for {@link #subtract}. */
  public void add(Tensor k, Tensor out) {
    add(k, 1, out);
  }

  private void add(Tensor k, float factor, Tensor out) {
    Hadamard.checkRows("k", k, "out", out);
    Checks.shape("k", k, k.size(0), mean.size(0));
    boolean same = out.address() == k.address() && out.stride(0) == k.stride(0);
    checkArgument(
        same || !Checks.overlap(k, out), "out: expected k itself or memory apart from it");
    Threads.forRanges(
        k.size(0),
        Hadamard.grain(k.size(1)),
        (from, to) -> kernels.addRow(k, mean, factor, out, from, to));
  }

  @Override
  public void close() {
    mean.close();
  }
}
