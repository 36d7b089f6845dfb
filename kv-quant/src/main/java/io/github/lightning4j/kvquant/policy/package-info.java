/**
 * Which tokens and layers a quantized cache treats how: a {@link
 * io.github.lightning4j.kvquant.policy.KvPolicy} names transform, formats and the tokens that stay
 * in 16 bits, and has the presets.
 */
@NullMarked
package io.github.lightning4j.kvquant.policy;

import org.jspecify.annotations.NullMarked;
