/**
 * The inside of the communicators: collectives over point-to-point messages, the two ways to carry
 * those, and the watch over the ranks. Not for use elsewhere.
 */
@NullMarked
package io.github.lightning4j.moe.comm.internal;

import org.jspecify.annotations.NullMarked;
