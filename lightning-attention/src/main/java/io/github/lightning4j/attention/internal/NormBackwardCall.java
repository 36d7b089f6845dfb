package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * The checked arguments of the gated norm's gradients; rows {@code [T, N]} but for the weight.
 *
 * @param x what was normalised
 * @param gate before the sigmoid, or null
 * @param weight {@code [N]}
 * @param eps added to the mean square
 * @param dOut the gradient of the output
 * @param outDx the gradient of {@code x}; may be {@code dOut}
 * @param outDGate the gradient of {@code gate}; null if that is
 */
public record NormBackwardCall(
    Tensor x,
    @Nullable Tensor gate,
    Tensor weight,
    float eps,
    Tensor dOut,
    Tensor outDx,
    @Nullable Tensor outDGate) {}
