/** The losses against golden data, finite differences, and one another. */
@NullMarked
package io.github.lightning4j.cispo;

import org.jspecify.annotations.NullMarked;
