package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions;
import org.jspecify.annotations.Nullable;

/** The kernels of {@code router_kernels.h}. */
final class CpuRouter implements RouterKernels {
  @Override
  public long route(
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      Tensor outIndex,
      Tensor outWeight,
      long from,
      long to) {
    if (!scores(options, bias)) {
      return route(logits, options, bias, 0, outIndex, outWeight, from, to);
    }
    // 12 bytes a group, 4 for each of its best, 4 an expert
    long words = 3L * options.groups() + options.groupBest() + logits.size(1);
    try (Tensor scratch = Tensor.allocate(DType.F32, words)) {
      return route(logits, options, bias, scratch.address(), outIndex, outWeight, from, to);
    }
  }

  private static long route(
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      long scratch,
      Tensor outIndex,
      Tensor outWeight,
      long from,
      long to) {
    return MoeKernels.route(
        logits.address(),
        logits.stride(0),
        logits.size(1),
        options.k(),
        options.score().ordinal(),
        options.normalized() ? 1 : 0,
        options.scale(),
        options.groups(),
        options.topGroups(),
        options.groupBest(),
        bias == null ? 0 : bias.address(),
        scratch,
        outIndex.address(),
        outIndex.stride(0),
        outWeight.address(),
        outWeight.stride(0),
        from,
        to);
  }

  /** Whether more is needed than comparing logits. */
  private static boolean scores(RouterOptions options, @Nullable Tensor bias) {
    return bias != null || options.limitsGroups() || !options.normalized();
  }

  @Override
  public void backward(
      Tensor logits,
      RouterOptions options,
      Tensor index,
      Tensor dWeight,
      Tensor outDLogits,
      long from,
      long to) {
    MoeKernels.routeBackward(
        logits.address(),
        logits.stride(0),
        logits.size(1),
        options.k(),
        options.score().ordinal(),
        options.normalized() ? 1 : 0,
        options.scale(),
        index.address(),
        index.stride(0),
        dWeight.address(),
        dWeight.stride(0),
        outDLogits.address(),
        outDLogits.stride(0),
        from,
        to);
  }

  @Override
  public void jitter(Tensor x, double amount, long seed, Tensor outX, long from, long to) {
    MoeKernels.jitter(
        x.address(),
        x.stride(0),
        x.size(1),
        (float) (1 - amount),
        (float) (2 * amount),
        seed,
        outX.address(),
        outX.stride(0),
        from,
        to);
  }
}
