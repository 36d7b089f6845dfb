package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What {@link GatedRmsNorm} does to the outputs of all heads of a token, as a part of the forward
 * call: the outputs go through it while they are in the cache and are written once.
 *
 * @param weight {@code [H Dv]} F32, BF16 or F16
 * @param eps added to the mean square, {@code >= 0}; 1e-6 in the released models' code, 1e-5 in
 *     vLLM
 * @param gate {@code [B, T, H Dv]} of q's type or F32, before the sigmoid; {@code [B, H Dv]} for
 *     decode; null for none
 */
public record OutputNorm(Tensor weight, float eps, @Nullable Tensor gate) {
  /**
   * Validates.
   *
   * @throws IllegalArgumentException if {@code eps} is negative, infinite or NaN
   */
  public OutputNorm {
    checkArgument(
        eps >= 0 && eps < Float.POSITIVE_INFINITY, "eps: expected >= 0 and finite, got %s", eps);
  }
}
