package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/**
 * Sends the rows of a plan through their experts: {@code answers[position] = W2 (silu(W1 x) * (W3
 * x))}.
 *
 * <p>Experts with at most {@value #STREAMED} tokens run together in the streaming kernels of {@code
 * experts_kernels.h} (or {@code quant_experts_kernels.h}), work being cut along (expert, output
 * row). Each expert with more gathers its tokens and runs three of core's matrix products. The
 * choice depends on the counts alone.
 */
final class CpuFeedForward {
  /** Up to this many tokens an expert's weights are streamed; core's Gemm changes there too. */
  static final int STREAMED = 16;

  /** Multiply-adds, or floats moved, below which one thread is faster than two. */
  private static final long GRAIN = 1 << 16;

  /** Output rows that share a group of streams. */
  private static final long GROUP = 8;

  private final Gemm gemm = Gemm.best();

  /** Returns {@code [pairs kept, H]}, valid until the scratch is used again. */
  Tensor run(Tensor x, Experts weights, DispatchPlan plan, Scratch scratch) {
    Tensor pairs = scratch.pairs.take(DType.I32, plan.kept());
    plan.putPairs(pairs.pointer().asByteBuffer().asIntBuffer());
    Tensor answers = scratch.answers.take(DType.F32, plan.kept(), weights.hidden());
    ExpertTable table = new ExpertTable(weights, plan, STREAMED, scratch.table);
    if (table.size() > 0 && weights instanceof ExpertWeights plain) {
      stream(x, plain, plan, table, pairs, scratch, answers);
    } else if (table.size() > 0 && weights instanceof QuantizedExpertWeights quantized) {
      QuantizedStream.run(x, quantized, plan, table, pairs, scratch, answers);
    }
    for (int e = 0; e < weights.experts(); e++) {
      if (plan.count(e) > STREAMED) {
        multiply(x, weights, plan, e, pairs, scratch, answers);
      }
    }
    return answers;
  }

  private static void stream(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      ExpertTable table,
      Tensor pairs,
      Scratch scratch,
      Tensor answers) {
    long h = weights.hidden();
    long i = weights.intermediate();
    int type = weights.dtype().ordinal();
    Tensor hidden = scratch.hidden.take(DType.F32, plan.kept(), i);
    Threads.forRanges(
        table.size() * i,
        rows(2 * h * table.pairs() / table.size()),
        (from, to) ->
            MoeKernels.gateUp(
                type,
                table.address(),
                x.address(),
                x.stride(0),
                pairs.address(),
                plan.slots(),
                h,
                i,
                hidden.address(),
                from,
                to));
    Threads.forRanges(
        table.size() * h,
        rows(i * table.pairs() / table.size()),
        (from, to) ->
            MoeKernels.down(
                type, table.address(), hidden.address(), h, i, answers.address(), from, to));
  }

  private void multiply(
      Tensor x,
      Experts weights,
      DispatchPlan plan,
      int expert,
      Tensor pairs,
      Scratch scratch,
      Tensor answers) {
    long first = plan.offset(expert);
    long count = plan.count(expert);
    long i = weights.intermediate();
    Tensor rows = scratch.rows.take(DType.F32, count, weights.hidden());
    Tensor gate = scratch.gate.take(DType.F32, count, i);
    Tensor up = scratch.up.take(DType.F32, count, i);
    gather(x, pairs.narrow(0, first, count), plan.slots(), rows);
    Products products = products(weights, expert);
    products.gate.multiply(rows, gate);
    products.up.multiply(rows, up);
    Threads.forRanges(
        count * i, GRAIN, (from, to) -> MoeKernels.swiglu(gate.address(), up.address(), from, to));
    products.down.multiply(gate, answers.narrow(0, first, count));
  }

  /** {@code out = a w^T} with a weight of an expert. */
  @FunctionalInterface
  private interface Product {
    void multiply(Tensor a, Tensor out);
  }

  private record Products(Product gate, Product up, Product down) {}

  private Products products(Experts weights, int e) {
    if (weights instanceof QuantizedExpertWeights quantized) {
      return new Products(
          (a, out) -> gemm.multiply(a, quantized.gate(e), out),
          (a, out) -> gemm.multiply(a, quantized.up(e), out),
          (a, out) -> gemm.multiply(a, quantized.down(e), out));
    }
    ExpertWeights plain = (ExpertWeights) weights;
    return new Products(
        (a, out) -> gemm.multiply(a, plain.gate().get(e), out),
        (a, out) -> gemm.multiply(a, plain.up().get(e), out),
        (a, out) -> gemm.multiply(a, plain.down().get(e), out));
  }

  /** {@code rows[i] = x[token of pairs[i]]}. */
  static void gather(Tensor x, Tensor pairs, int slots, Tensor rows) {
    Threads.forRanges(
        rows.size(0),
        rows(rows.size(1)),
        (from, to) ->
            MoeKernels.gather(
                x.address(),
                x.stride(0),
                pairs.address(),
                slots,
                rows.size(1),
                rows.address(),
                from,
                to));
  }

  /**
   * {@code out[t] = sum_j weight[t, j] answers[position of (t, j)]}, j upwards over pairs kept.
   *
   * @param weight the address of the weights, 0 where they all count as 1
   */
  static void combine(
      Tensor answers,
      DispatchPlan plan,
      GrowingBuffer memory,
      long weight,
      long weightStride,
      Tensor out) {
    Tensor positions = memory.take(DType.I32, plan.size());
    plan.putPositions(positions.pointer().asByteBuffer().asIntBuffer());
    combine(answers, positions, plan.slots(), weight, weightStride, out);
  }

  /** The same with the positions of all pairs at hand. */
  static void combine(
      Tensor answers, Tensor positions, int slots, long weight, long weightStride, Tensor out) {
    Threads.forRanges(
        out.size(0),
        rows(slots * answers.size(1)),
        (from, to) ->
            MoeKernels.combine(
                answers.address(),
                positions.address(),
                slots,
                weight,
                weightStride,
                answers.size(1),
                out.address(),
                out.stride(0),
                from,
                to));
  }

  /** Rows of this cost that are worth a thread of their own. */
  static long rows(long cost) {
    long grain = GRAIN / Math.max(1, cost);
    return Math.max(1, grain / GROUP) * GROUP;
  }
}
