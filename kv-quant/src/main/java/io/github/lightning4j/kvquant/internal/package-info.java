/** The inside of kv-quant: pages, their store, kernels and references. Not for use elsewhere. */
@NullMarked
package io.github.lightning4j.kvquant.internal;

import org.jspecify.annotations.NullMarked;
