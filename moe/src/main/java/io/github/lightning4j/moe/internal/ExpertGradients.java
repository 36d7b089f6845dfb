package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import java.util.List;

/**
 * Where the gradients of a mixture go; all are overwritten.
 *
 * @param dx {@code [T, H]}
 * @param dWeight {@code [T, k]}
 * @param dGate {@code [I, H]} for each expert
 * @param dUp {@code [I, H]} for each expert
 * @param dDown {@code [H, I]} for each expert
 */
public record ExpertGradients(
    Tensor dx, Tensor dWeight, List<Tensor> dGate, List<Tensor> dUp, List<Tensor> dDown) {}
