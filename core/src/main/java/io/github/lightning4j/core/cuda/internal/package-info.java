/** The calls of the CUDA driver and of NVRTC; loaded only where the bindings are. */
@NullMarked
package io.github.lightning4j.core.cuda.internal;

import org.jspecify.annotations.NullMarked;
