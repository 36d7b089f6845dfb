package io.github.lightning4j.moe;

import io.github.lightning4j.core.Tensor;

/**
 * Where the gradients of a mixture on a GPU go; all are overwritten. Those of experts begin at
 * multiples of 16 bytes. The record owns none.
 *
 * @param outDx {@code [T, H]} F32 or BF16, rows at multiples of 16 bytes: the path through the
 *     experts alone
 * @param outDWeight {@code [T, k]} F32, contiguous: of the routing weights
 * @param outDGate dW1, {@code [E, I, H]} F32, contiguous
 * @param outDUp dW3, {@code [E, I, H]} F32, contiguous
 * @param outDDown dW2, {@code [E, H, I]} F32, contiguous
 */
public record CudaExpertGradients(
    Tensor outDx, Tensor outDWeight, Tensor outDGate, Tensor outDUp, Tensor outDDown) {}
