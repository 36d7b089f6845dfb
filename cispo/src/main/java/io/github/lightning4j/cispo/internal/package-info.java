/** Kernels of the fused head: the reference in plain Java, and the binding of the native ones. */
@NullMarked
package io.github.lightning4j.cispo.internal;

import org.jspecify.annotations.NullMarked;
