/** One contract for all communicators, and what happens when ranks die. */
@NullMarked
package io.github.lightning4j.moe.comm;

import org.jspecify.annotations.NullMarked;
