package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;

/**
 * A checked decode step; shapes as in the facade.
 *
 * @param q queries
 * @param k keys
 * @param v values
 * @param out outputs
 * @param logDecay {@code [H]} F64
 * @param options scale and SiLU
 * @param pool states {@code [S, H, Dk, Dv]}
 * @param slots the state of each row {@code [B]} I32, -1 for none
 */
public record DecodeCall(
    Tensor q,
    Tensor k,
    Tensor v,
    Tensor out,
    Tensor logDecay,
    Options options,
    Tensor pool,
    Tensor slots) {}
