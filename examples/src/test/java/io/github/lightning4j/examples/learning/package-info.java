/** The policy's gradients, its training, and what is told of it. */
@NullMarked
package io.github.lightning4j.examples.learning;

import org.jspecify.annotations.NullMarked;
