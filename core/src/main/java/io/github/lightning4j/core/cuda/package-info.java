/**
 * NVIDIA GPUs: devices, streams, events, memory and graphs of the CUDA driver.
 *
 * <p>Ask {@link io.github.lightning4j.core.Cuda#availability()} first; all classes load without
 * CUDA, and what cannot be done throws with the reason and the way out. Device memory is a {@link
 * io.github.lightning4j.core.Memory} like any other, so a tensor on a GPU is {@code
 * Tensor.wrap(CudaMemory.allocate(device, bytes), 0, dtype, shape)}; operators of the CPU refuse
 * it. Work goes to a {@link io.github.lightning4j.core.cuda.CudaStream}, one of ours or one that
 * the caller has; nothing waits for it but {@code synchronize} and what says so. Kernels are in
 * {@link io.github.lightning4j.core.cuda.kernel}.
 *
 * <p>Calls make the device's primary context that of the calling thread, as {@code cudaSetDevice}
 * does. Instances may be used by several threads, one at a time.
 */
@NullMarked
package io.github.lightning4j.core.cuda;

import org.jspecify.annotations.NullMarked;
