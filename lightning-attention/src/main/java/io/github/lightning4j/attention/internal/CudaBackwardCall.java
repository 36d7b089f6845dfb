package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A checked backward pass on a GPU; results that are null are not wanted.
 *
 * @param q {@code [B, T, H, Dk]}
 * @param k {@code [B, T, H, Dk]}
 * @param v {@code [B, T, H, Dv]}
 * @param logDecay {@code [H]} F32
 * @param options scale and SiLU
 * @param initial {@code [sequences, H, Dk, Dv]} F32; null for zeros
 * @param offsets {@code [sequences + 1]} I32
 * @param dOut {@code [B, T, H, Dv]}
 * @param dFinal as initial
 * @param dq as q
 * @param dk as k; null if dv is
 * @param dv as v
 * @param dInitial as initial
 * @param dLogDecay {@code [H]} F32; needs the first three gradients
 * @param scratch F32, for dLogDecay
 */
public record CudaBackwardCall(
    Tensor q,
    Tensor k,
    Tensor v,
    Tensor logDecay,
    Options options,
    @Nullable Tensor initial,
    @Nullable Tensor offsets,
    Tensor dOut,
    @Nullable Tensor dFinal,
    @Nullable Tensor dq,
    @Nullable Tensor dk,
    @Nullable Tensor dv,
    @Nullable Tensor dInitial,
    @Nullable Tensor dLogDecay,
    @Nullable Tensor scratch) {
  long sequences() {
    return offsets == null ? q.size(0) : offsets.size(0) - 1;
  }

  DType gradientType() {
    return dq != null ? dq.dtype() : dk != null ? dk.dtype() : DType.F32;
  }
}
