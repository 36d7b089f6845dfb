/** What a user would run instead of an operator of ours, built from other libraries or by hand. */
@NullMarked
package io.github.lightning4j.jmh.peer;

import org.jspecify.annotations.NullMarked;
