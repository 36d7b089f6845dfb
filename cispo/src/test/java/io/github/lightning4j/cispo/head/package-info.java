/** The fused head against the plain formula, for every implementation. */
@NullMarked
package io.github.lightning4j.cispo.head;

import org.jspecify.annotations.NullMarked;
