/**
 * For authors of operators: which native kernels this machine can run, how fast it is at best, and
 * how a module's library is loaded and chosen.
 *
 * <p>Each operator module has one native library. Every kernel in it is compiled once for each
 * {@link io.github.lightning4j.core.kernel.Isa} and a table of function pointers is filled once,
 * when the library is loaded. Whether that worked is a value, {@link
 * io.github.lightning4j.core.kernel.NativeLibrary#availability()}, never an accident of class
 * loading.
 */
@NullMarked
package io.github.lightning4j.core.kernel;

import org.jspecify.annotations.NullMarked;
