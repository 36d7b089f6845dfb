/** The parts of communicators, each by itself. */
@NullMarked
package io.github.lightning4j.moe.comm.internal;

import org.jspecify.annotations.NullMarked;
