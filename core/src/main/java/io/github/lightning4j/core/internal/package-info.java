/** The inside of core: native entry points, kernels and their references. Not for use elsewhere. */
@NullMarked
package io.github.lightning4j.core.internal;

import org.jspecify.annotations.NullMarked;
