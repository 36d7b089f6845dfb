package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import java.lang.ref.Reference;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The kernels of {@code gated_norm_kernels.h} and {@code gated_norm_backward_kernels.h}. */
final class CpuGatedNorm implements GatedNormKernel {
  private static final Set<DType> TYPES =
      Collections.unmodifiableSet(EnumSet.of(DType.F32, DType.F16, DType.BF16));

  @Override
  public Set<DType> types() {
    return TYPES;
  }

  @Override
  public void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to) {
    AttentionKernels.gatedNorm(
        x.dtype().ordinal(),
        x.address(),
        x.stride(0),
        type(gate),
        address(gate),
        stride(gate),
        weight.dtype().ordinal(),
        weight.address(),
        eps,
        out.dtype().ordinal(),
        out.address(),
        out.stride(0),
        from,
        to,
        x.size(1));
    keep(x, gate, weight, out);
  }

  @Override
  public void backward(NormBackwardCall c, @Nullable Tensor dWeight, long from, long to) {
    boolean done =
        AttentionKernels.gatedNormBackward(
            c.x().dtype().ordinal(),
            c.x().address(),
            c.x().stride(0),
            type(c.gate()),
            address(c.gate()),
            stride(c.gate()),
            c.weight().dtype().ordinal(),
            c.weight().address(),
            c.eps(),
            c.dOut().dtype().ordinal(),
            c.dOut().address(),
            c.dOut().stride(0),
            c.outDx().address(),
            c.outDx().stride(0),
            address(c.outDGate()),
            stride(c.outDGate()),
            address(dWeight),
            from,
            to,
            c.x().size(1));
    keep(c, dWeight);
    if (!done) {
      throw new OutOfNativeMemoryException(4 * c.x().size(1), Memory.liveBytes());
    }
  }

  @Override
  public void addUp(Tensor parts, Tensor out, long from, long to) {
    AttentionKernels.addUp(parts.address(), parts.size(0), parts.size(1), out.address(), from, to);
    keep(parts, out);
  }

  /** Memory must not be freed while only its address is in use. */
  private static void keep(Object... tensors) {
    Reference.reachabilityFence(tensors);
  }

  private static int type(@Nullable Tensor tensor) {
    return (tensor == null ? DType.F32 : tensor.dtype()).ordinal();
  }

  private static long address(@Nullable Tensor tensor) {
    return tensor == null ? 0 : tensor.address();
  }

  private static long stride(@Nullable Tensor tensor) {
    return tensor == null ? 0 : tensor.stride(0);
  }
}
