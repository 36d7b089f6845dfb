/** The inside of the model: weights by name, layers, scratch memory, the forward pass. */
@NullMarked
package io.github.lightning4j.minimax.internal;

import org.jspecify.annotations.NullMarked;
