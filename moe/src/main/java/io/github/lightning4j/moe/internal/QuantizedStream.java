package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/** The streaming kernels of {@code quant_experts_kernels.h} over the experts with few tokens. */
final class QuantizedStream {
  private QuantizedStream() {}

  /** Fills the answers of the experts in the table. */
  static void run(
      Tensor x,
      QuantizedExpertWeights weights,
      DispatchPlan plan,
      ExpertTable table,
      Tensor pairs,
      Scratch scratch,
      Tensor answers) {
    long h = weights.hidden();
    long i = weights.intermediate();
    QuantizedMatrix gate = weights.gate(0);
    QuantizedMatrix down = weights.down(0);
    Tensor rows = scratch.codedRows.take(DType.U8, gate.activationBytes(x.size(0)));
    quantize(x, gate, rows, 0, x.size(0));
    Tensor hidden = scratch.hidden.take(DType.F32, plan.kept(), i);
    Recording.forRanges(
        () -> table.size() * i,
        CpuFeedForward.rows(2 * h * CpuFeedForward.tokensEach(plan)),
        (from, to) ->
            MoeKernels.quantGateUp(
                table.address(),
                rows.address(),
                x.size(0),
                pairs.address(),
                plan.slots(),
                i,
                hidden.address(),
                from,
                to));
    Tensor coded = scratch.codedHidden.take(DType.U8, down.activationBytes(plan.kept()));
    if (x.size(0) <= CpuFeedForward.STREAMED) {
      quantize(hidden, down, coded, 0, plan.kept());
    } else {
      quantizeStreamed(hidden, down, coded, plan);
    }
    Recording.forRanges(
        () -> table.size() * h,
        CpuFeedForward.rows(i * CpuFeedForward.tokensEach(plan)),
        (from, to) ->
            MoeKernels.quantDown(
                table.address(), coded.address(), plan.kept(), h, answers.address(), from, to));
  }

  /** The rows of the experts with few tokens. */
  private static void quantizeStreamed(
      Tensor hidden, QuantizedMatrix down, Tensor coded, DispatchPlan plan) {
    for (int e = 0; e < plan.experts(); e++) {
      if (plan.count(e) <= CpuFeedForward.STREAMED) {
        quantize(hidden, down, coded, plan.offset(e), plan.count(e));
      }
    }
  }

  /** Rows {@code [first, first + count)} as integers, for products with a matrix. */
  private static void quantize(Tensor x, QuantizedMatrix w, Tensor out, long first, long count) {
    Recording.forRanges(
        count,
        CpuFeedForward.rows(x.size(1)),
        (from, to) ->
            MoeKernels.quantizeRows(
                w.descriptor(),
                x.address(),
                x.stride(0),
                out.address(),
                x.size(0),
                first + from,
                first + to));
  }
}
