package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;

/**
 * What lies between the launches of one mixture, on the GPU.
 *
 * @param index I32 {@code [T k]}: the experts chosen
 * @param weight F32 {@code [T k]}: their shares
 * @param offsets I32 {@code [E + 1]}: the slots of each expert
 * @param positions I32 {@code [T k]}: the slot of each pair
 * @param sources I32 {@code [T k]}: the token of each slot
 * @param counts I32 {@code [segments, E]}
 * @param hidden BF16 {@code [T k, I]}: a row for each slot
 * @param answers F32 {@code [T k, H]}: a row for each slot
 */
public record CudaMoeBuffers(
    Tensor index,
    Tensor weight,
    Tensor offsets,
    Tensor positions,
    Tensor sources,
    Tensor counts,
    Tensor hidden,
    Tensor answers) {

  /** Memory for a number of pairs of token and expert; the scope closes it. */
  public static CudaMoeBuffers allocate(
      CudaDevice device, MemoryScope scope, long pairs, long experts, long hidden, long inner) {
    return new CudaMoeBuffers(
        tensor(device, scope, DType.I32, pairs),
        tensor(device, scope, DType.F32, pairs),
        tensor(device, scope, DType.I32, experts + 1),
        tensor(device, scope, DType.I32, pairs),
        tensor(device, scope, DType.I32, pairs),
        tensor(device, scope, DType.I32, CudaRouting.MOST_SEGMENTS, experts),
        tensor(device, scope, DType.BF16, pairs, inner),
        tensor(device, scope, DType.F32, pairs, hidden));
  }

  private static Tensor tensor(CudaDevice device, MemoryScope scope, DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes = Math.multiplyExact(bytes, size);
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(device, bytes), 0, type, shape));
  }
}
