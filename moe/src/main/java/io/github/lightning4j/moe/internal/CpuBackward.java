package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;

/**
 * The gradients of a mixture, expert by expert, in fp32: what the forward had is computed again
 * with core's products, what needs a transposed operand with {@code experts_backward_kernels.h}.
 * Scratch is {@code T k H + n (2 H + 3 I)} floats, n the most tokens an expert got.
 */
final class CpuBackward {
  /** Columns are handed out in multiples of this: three vectors of either width. */
  private static final long COLUMNS = 48;

  private final Gemm gemm = Gemm.best();

  void run(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out) {
    try (MemoryScope scope = new MemoryScope();
        GrowingBuffer positions = new GrowingBuffer()) {
      Tensor pairs = scope.allocate(DType.I32, plan.kept());
      plan.putPairs(pairs.pointer().asByteBuffer().asIntBuffer());
      Tensor dRows = scope.allocate(DType.F32, plan.kept(), weights.hidden());
      Buffers all = Buffers.allocate(scope, weights, plan.largest());
      clearDropped(plan, out.dWeight());
      for (int e = 0; e < weights.experts(); e++) {
        Tensor chosen = pairs.narrow(0, plan.offset(e), plan.count(e));
        Buffers own = all.rows(plan.count(e));
        CpuFeedForward.gather(x, chosen, plan.slots(), own.x());
        CpuFeedForward.gather(dOut, chosen, plan.slots(), own.dOut());
        expert(weights, e, chosen, plan.slots(), weight, own, out);
        Tensor into = dRows.narrow(0, plan.offset(e), plan.count(e));
        scaledRows(own.gate(), false, weights.gate().get(e), into, false);
        scaledRows(own.up(), false, weights.up().get(e), into, true);
      }
      CpuFeedForward.combine(dRows, plan, positions, null, out.dx());
    }
  }

  private static void clearDropped(DispatchPlan plan, Tensor dWeight) {
    if (plan.kept() == plan.size()) {
      return;
    }
    Elements to = dWeight.accessor();
    for (int pair = 0; pair < plan.size(); pair++) {
      if (plan.position(pair) < 0) {
        to.set(pair / plan.slots() * dWeight.stride(0) + pair % plan.slots(), 0);
      }
    }
  }

  /** Leaves dg and du in the buffers and writes the gradients of the weights. */
  private void expert(
      ExpertWeights weights,
      int e,
      Tensor pairs,
      int slots,
      Tensor weight,
      Buffers own,
      ExpertGradients out) {
    gemm.multiply(own.x(), weights.gate().get(e), own.gate());
    gemm.multiply(own.x(), weights.up().get(e), own.up());
    scaledRows(own.dOut(), false, weights.down().get(e), own.dHidden(), false);
    Threads.forRanges(
        pairs.size(0),
        8,
        (from, to) ->
            MoeKernels.swigluBackward(
                own.gate().address(),
                own.up().address(),
                own.dHidden().address(),
                pairs.address(),
                slots,
                weight.address(),
                weight.stride(0),
                out.dWeight().address(),
                out.dWeight().stride(0),
                weights.intermediate(),
                from,
                to));
    // dHidden now holds the weighted hidden rows.
    scaledRows(own.dOut(), true, own.dHidden(), out.dDown().get(e), false);
    scaledRows(own.gate(), true, own.x(), out.dGate().get(e), false);
    scaledRows(own.up(), true, own.x(), out.dUp().get(e), false);
  }

  /** {@code out = c rows}, or {@code out = c^T rows} if transposed, or the same added to out. */
  private static void scaledRows(
      Tensor c, boolean transposed, Tensor rows, Tensor out, boolean add) {
    long outputStride = transposed ? 1 : c.stride(0);
    long rowStride = transposed ? c.stride(0) : 1;
    Threads.forRanges(
        out.size(1),
        COLUMNS,
        (from, to) ->
            MoeKernels.scaledRows(
                rows.dtype().ordinal(),
                c.address(),
                outputStride,
                rowStride,
                rows.address(),
                rows.stride(0),
                rows.size(0),
                out.address(),
                out.stride(0),
                out.size(0),
                add ? 1 : 0,
                from,
                to));
  }

  /** The rows of one expert's tokens. */
  private record Buffers(Tensor x, Tensor dOut, Tensor gate, Tensor up, Tensor dHidden) {
    static Buffers allocate(MemoryScope scope, ExpertWeights weights, long rows) {
      return new Buffers(
          scope.allocate(DType.F32, rows, weights.hidden()),
          scope.allocate(DType.F32, rows, weights.hidden()),
          scope.allocate(DType.F32, rows, weights.intermediate()),
          scope.allocate(DType.F32, rows, weights.intermediate()),
          scope.allocate(DType.F32, rows, weights.intermediate()));
    }

    Buffers rows(long count) {
      return new Buffers(
          x.narrow(0, 0, count),
          dOut.narrow(0, 0, count),
          gate.narrow(0, 0, count),
          up.narrow(0, 0, count),
          dHidden.narrow(0, 0, count));
    }
  }
}
