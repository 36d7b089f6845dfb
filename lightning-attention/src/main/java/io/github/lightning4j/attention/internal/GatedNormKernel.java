package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The norm behind lightning attention and its gradients, over checked rows. */
public interface GatedNormKernel {
  /** The element types that the implementation takes. */
  Set<DType> types();

  /**
   * {@code out = sigmoid(gate) * weight * x / sqrt(mean(x^2) + eps)} in rows {@code [from, to)}; no
   * gate where it is null.
   */
  void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to);

  /**
   * The gradients of rows {@code [from, to)}.
   *
   * @param dWeight {@code [N]} F64, to which the rows' gradients of the weight are added, in order;
   *     null if they are not wanted
   */
  void backward(NormBackwardCall call, @Nullable Tensor dWeight, long from, long to);

  /**
   * Sums the rows of {@code parts [P, N]} F64 in order, in columns {@code [from, to)}; {@code
   * parts} holds anything afterwards.
   */
  void addUp(Tensor parts, Tensor out, long from, long to);

  /** The implementation for a backend. */
  static GatedNormKernel of(Backend backend) {
    return AttentionKernels.library().choose(backend, new ReferenceGatedNorm(), new CpuGatedNorm());
  }
}
