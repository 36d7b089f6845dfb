/**
 * The inside of moe: native entry points, kernels and their references, which trust their
 * arguments. Not for use elsewhere.
 */
@NullMarked
package io.github.lightning4j.moe.internal;

import org.jspecify.annotations.NullMarked;
