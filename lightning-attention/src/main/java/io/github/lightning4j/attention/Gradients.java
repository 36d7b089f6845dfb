package io.github.lightning4j.attention;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What goes into and comes out of the backward pass of a {@link Prefill}. Gradients have the type
 * of q or are F32, all three of q, k and v the same one. The gradient of q, and those of k and v
 * together, may be left out; sums are in fp32 all the same.
 */
public final class Gradients {
  final Tensor dOut;
  @Nullable Tensor dFinalState;
  @Nullable Tensor outDq;
  @Nullable Tensor outDk;
  @Nullable Tensor outDv;
  @Nullable Tensor outDInitialState;
  @Nullable Tensor outDLogDecay;

  /**
   * Gradients of a loss that depends on the output.
   *
   * @param dOut gradient of the output {@code [B, T, H, Dv]}
   */
  public Gradients(Tensor dOut) {
    this.dOut = dOut;
  }

  /** The gradient of the final states, shaped and indexed as they are; zero if not given. */
  public Gradients dFinalState(Tensor gradient) {
    dFinalState = gradient;
    return this;
  }

  /**
   * Where the gradient of q goes.
   *
   * @param gradient {@code [B, T, H, Dk]}; of q before SiLU and scale
   */
  public Gradients outDq(Tensor gradient) {
    outDq = gradient;
    return this;
  }

  /**
   * Where the gradients of k and v go.
   *
   * @param dk {@code [B, T, H, Dk]}; of k before SiLU
   * @param dv {@code [B, T, H, Dv]}; of v before SiLU
   */
  public Gradients outDkDv(Tensor dk, Tensor dv) {
    outDk = dk;
    outDv = dv;
    return this;
  }

  /** Where the gradient of the initial states goes, shaped and indexed as they are. F32. */
  public Gradients outDInitialState(Tensor gradient) {
    outDInitialState = gradient;
    return this;
  }

  /**
   * Where the gradient of {@code log(lambda)} goes; the slope's is its negative. Needs the
   * gradients of q, k and v too.
   *
   * @param gradient {@code [H]} F32, summed over sequences
   */
  public Gradients outDLogDecay(Tensor gradient) {
    outDLogDecay = gradient;
    return this;
  }
}
