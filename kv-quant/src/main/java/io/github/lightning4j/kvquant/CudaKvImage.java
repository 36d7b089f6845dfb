package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Tensor;

/**
 * What a sequence holds in a {@link CudaKvCache} that quantizes, on the CPU and to the bit.
 *
 * @param config {@code [n]} U8: a text that says what it was made with
 * @param recent {@code [pages, bytes]} U8: pages of BF16 from the first with a token in the window
 * @param packed {@code [pages, bytes]} U8: pages of quantized tokens
 * @param sinks {@code [1, bytes]} U8: the page of tokens that are kept for good; {@code [0, bytes]}
 *     where none are
 * @param sinkPositions {@code [64]} I32: where they stand, ascending and filled up with the
 *     greatest number; {@code [0]} where none are
 * @param sum {@code [1]} I64: CRC-32C of all of them, in this order
 */
public record CudaKvImage(
    Tensor config, Tensor recent, Tensor packed, Tensor sinks, Tensor sinkPositions, Tensor sum) {}
