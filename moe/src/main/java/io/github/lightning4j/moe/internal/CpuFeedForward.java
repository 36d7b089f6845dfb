package io.github.lightning4j.moe.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import org.jspecify.annotations.Nullable;

/**
 * Sends the rows of a plan through their experts: {@code answers[position] = W2 (silu(W1 x) * (W3
 * x))}.
 *
 * <p>Experts with at most {@value #STREAMED} tokens run together in the streaming kernels of {@code
 * experts_kernels.h} (or {@code quant_experts_kernels.h}), work being cut along (expert, output
 * row). Those with more run together in {@link GroupedPrefill}. The choice depends on the counts
 * alone.
 */
final class CpuFeedForward {
  /**
   * Up to this many tokens an expert's weights are streamed; the two ways are about equal there.
   */
  static final int STREAMED = 16;

  /** Multiply-adds, or floats moved, below which one thread is faster than two. */
  private static final long GRAIN = 1 << 16;

  /** Output rows that share a group of streams. */
  private static final long GROUP = 8;

  /** Returns {@code [pairs kept, H]}, valid until the scratch is used again. */
  Tensor run(Tensor x, Experts weights, DispatchPlan plan, Scratch scratch) {
    Tensor pairs = scratch.pairs.take(DType.I32, plan.kept());
    Tensor answers = scratch.answers.take(DType.F32, plan.kept(), weights.hidden());
    ExpertTable table = new ExpertTable(weights, scratch.table);
    boolean recorded = Recording.isActive();
    Recording.once(
        () -> {
          checkState(
              !recorded || plan.largest() <= STREAMED,
              "an expert got %s tokens: more than %s run as grouped products, which a recording has"
                  + " not",
              plan.largest(),
              STREAMED);
          plan.putPairs(pairs.pointer().asByteBuffer().asIntBuffer());
          list(plan, table);
        });
    boolean few = recorded || table.size() > 0;
    if (few && weights instanceof ExpertWeights plain) {
      stream(x, plain, plan, table, pairs, scratch, answers);
    } else if (few && weights instanceof QuantizedExpertWeights quantized) {
      QuantizedStream.run(x, quantized, plan, table, pairs, scratch, answers);
    }
    GroupedPrefill.run(x, weights, plan, pairs, scratch, answers);
    return answers;
  }

  /** Lists the experts with few tokens. */
  private static void list(DispatchPlan plan, ExpertTable table) {
    table.clear();
    for (int e = 0; e < plan.experts(); e++) {
      if (plan.count(e) > 0 && plan.count(e) <= STREAMED) {
        table.add(e, plan.offset(e), plan.count(e));
      }
    }
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
    Recording.forRanges(
        () -> table.size() * i,
        rows(2 * h * tokensEach(plan)),
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
    Recording.forRanges(
        () -> table.size() * h,
        rows(i * tokensEach(plan)),
        (from, to) ->
            MoeKernels.down(
                type, table.address(), hidden.address(), h, i, answers.address(), from, to));
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
   * @param weight {@code [T, slots]}, or null where all count as 1
   */
  static void combine(
      Tensor answers,
      DispatchPlan plan,
      GrowingBuffer memory,
      @Nullable Tensor weight,
      Tensor out) {
    Tensor positions = memory.take(DType.I32, plan.size());
    Recording.once(() -> plan.putPositions(positions.pointer().asByteBuffer().asIntBuffer()));
    combine(answers, positions, plan.slots(), weight, out);
  }

  /** The same with the positions of all pairs at hand. */
  static void combine(
      Tensor answers, Tensor positions, int slots, @Nullable Tensor weight, Tensor out) {
    Recording.forRanges(
        out.size(0),
        rows(slots * answers.size(1)),
        (from, to) ->
            MoeKernels.combine(
                answers.address(),
                positions.address(),
                slots,
                weight == null ? 0 : weight.address(),
                weight == null ? 0 : weight.stride(0),
                answers.size(1),
                out.address(),
                out.stride(0),
                from,
                to));
  }

  /** The tokens an expert has at least on average. */
  static long tokensEach(DispatchPlan plan) {
    return Math.max(1, plan.kept() / plan.experts());
  }

  /** Rows of this cost that are worth a thread of their own. */
  static long rows(long cost) {
    long grain = GRAIN / Math.max(1, cost);
    return Math.max(1, grain / GROUP) * GROUP;
  }
}
