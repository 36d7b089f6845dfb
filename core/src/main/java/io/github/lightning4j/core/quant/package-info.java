/**
 * Weights of 8 and 4 bits: a {@link io.github.lightning4j.core.quant.QuantFormat} says how they are
 * coded, a {@link io.github.lightning4j.core.quant.QuantizedMatrix} holds them and tells the {@link
 * io.github.lightning4j.core.quant.QuantizationError} of its making. {@link
 * io.github.lightning4j.core.Gemm} multiplies with them.
 */
@NullMarked
package io.github.lightning4j.core.quant;

import org.jspecify.annotations.NullMarked;
