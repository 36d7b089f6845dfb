/**
 * The bases in which keys and values are quantized, and the way into them and back: {@link
 * io.github.lightning4j.kvquant.transform.KvTransform} names them.
 */
@NullMarked
package io.github.lightning4j.kvquant.transform;

import org.jspecify.annotations.NullMarked;
