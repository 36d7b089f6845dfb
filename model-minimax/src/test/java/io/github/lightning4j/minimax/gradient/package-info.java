/**
 * The gradient of the whole model, put together in double from the backward passes of the
 * operators: what a trainer would do, and a proof that those passes fit each other.
 */
@NullMarked
package io.github.lightning4j.minimax.gradient;

import org.jspecify.annotations.NullMarked;
