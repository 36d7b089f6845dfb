/** The inside of lightning attention: native entry points, kernels and their references. */
@NullMarked
package io.github.lightning4j.attention.internal;

import org.jspecify.annotations.NullMarked;
