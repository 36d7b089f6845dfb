/**
 * Key-value caches of vision-language models that give each token the bits its class needs, after
 * AKVQ-VL.
 *
 * <p>Recent tokens and the few pivots that absorb most attention stay at 16 bits, text may take 4,
 * the many visual tokens take 2. A {@link io.github.lightning4j.vlmquant.VlmPolicy} names the bits
 * by {@link io.github.lightning4j.vlmquant.LayerPattern}, a {@link
 * io.github.lightning4j.vlmquant.VlmCache} holds a sequence in one layer, {@link
 * io.github.lightning4j.vlmquant.VlmAttention} attends to it, and {@link
 * io.github.lightning4j.vlmquant.SalienceCalibrator} finds which layer has which pattern.
 */
@NullMarked
package io.github.lightning4j.vlmquant;

import org.jspecify.annotations.NullMarked;
