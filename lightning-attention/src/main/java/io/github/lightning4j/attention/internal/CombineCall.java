package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * The exchange between segments, checked: {@code entering_0 = initial}, {@code entering_(r+1) =
 * lambda^tokens_r entering_r + local_r}, and {@code last} is what would enter one segment more.
 *
 * @param local {@code [R, B, H, Dk, Dv]}
 * @param tokens of each of the R segments
 * @param logDecay {@code [H]} F64
 * @param initial {@code [B, H, Dk, Dv]}; null for zeros
 * @param entering {@code [R, B, H, Dk, Dv]}
 * @param last {@code [B, H, Dk, Dv]}; null if not wanted
 * @param reverse whether segments are walked from the last to the first, as adjoints are
 */
public record CombineCall(
    Tensor local,
    long[] tokens,
    Tensor logDecay,
    @Nullable Tensor initial,
    Tensor entering,
    @Nullable Tensor last,
    boolean reverse) {}
