/**
 * For authors of operators: CUDA C++ text to running kernels.
 *
 * <p>A {@link io.github.lightning4j.core.cuda.kernel.KernelSource} is compiled by NVRTC for the
 * very GPU, kept on disk, loaded once a process as a {@link
 * io.github.lightning4j.core.cuda.kernel.KernelModule}, and its kernels are launched on streams. No
 * headers of a CUDA toolkit are needed, or used: see {@code core_cuda.cuh}.
 */
@NullMarked
package io.github.lightning4j.core.cuda.kernel;

import org.jspecify.annotations.NullMarked;
