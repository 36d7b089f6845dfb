/**
 * What flows between the artifacts: typed views of memory ({@link
 * io.github.lightning4j.core.Tensor}), the memory itself, the thread pool, and the one general
 * matrix product.
 *
 * <p>A {@code Tensor} does no arithmetic. Operators read tensors and write into tensors whose
 * parameter is called {@code out...}; they never allocate results behind the caller's back. Whoever
 * opens a tensor closes it, usually through a {@link io.github.lightning4j.core.MemoryScope}.
 */
@NullMarked
package io.github.lightning4j.core;

import org.jspecify.annotations.NullMarked;
