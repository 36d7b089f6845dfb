/** The vision tower, the projector and the packing of features, over the operators of the suite. */
@NullMarked
package io.github.lightning4j.minimax.vision.internal;

import org.jspecify.annotations.NullMarked;
