/** The layers of a model on a GPU. */
@NullMarked
package io.github.lightning4j.minimax.internal.device;

import org.jspecify.annotations.NullMarked;
