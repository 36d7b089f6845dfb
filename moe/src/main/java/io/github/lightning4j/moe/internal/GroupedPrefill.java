package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.kernel.Bf16Products;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/**
 * The kernels of {@code experts_prefill_kernels.h}, or those of {@link QuantizedPrefill}, over the
 * experts with many tokens: all of them together, so that threads are not kept waiting by an expert
 * that is done, in waves of a bounded number of pairs, which bounds the scratch memory. Where a
 * wave ends changes no result.
 */
final class GroupedPrefill {
  /** The most pairs of a wave; a multiple of every panel width. */
  private static final long WAVE = 4096;

  private final Tensor x;
  private final Experts weights;
  private final Tensor pairs;
  private final int slots;
  private final Scratch scratch;
  private final Tensor answers;
  private final ExpertTable table;
  private final long panelTokens = MoeKernels.panelTokens();
  private long panels;

  private GroupedPrefill(
      Tensor x, Experts weights, Tensor pairs, int slots, Scratch scratch, Tensor answers) {
    this.x = x;
    this.weights = weights;
    this.pairs = pairs;
    this.slots = slots;
    this.scratch = scratch;
    this.answers = answers;
    this.table = new ExpertTable(weights, scratch.table);
  }

  /** Fills the answers of the experts with more than {@link CpuFeedForward#STREAMED} tokens. */
  static void run(
      Tensor x, Experts weights, DispatchPlan plan, Tensor pairs, Scratch scratch, Tensor answers) {
    if (plan.largest() <= CpuFeedForward.STREAMED) {
      return;
    }
    GroupedPrefill prefill = new GroupedPrefill(x, weights, pairs, plan.slots(), scratch, answers);
    for (int e = 0; e < weights.experts(); e++) {
      if (plan.count(e) > CpuFeedForward.STREAMED) {
        prefill.add(e, plan.offset(e), plan.count(e));
      }
    }
    prefill.finishWave();
  }

  private void add(int expert, long first, long count) {
    for (long done = 0; done < count; ) {
      long part = Math.min(count - done, WAVE - panels * panelTokens);
      table.add(expert, first + done, part);
      panels += (part + panelTokens - 1) / panelTokens;
      done += part;
      if (panels * panelTokens == WAVE) {
        finishWave();
      }
    }
  }

  private void finishWave() {
    if (panels == 0) {
      return;
    }
    if (weights instanceof ExpertWeights plain) {
      multiply(plain);
    } else if (weights instanceof QuantizedExpertWeights quantized) {
      new QuantizedPrefill(table, panels, quantized, scratch).run(x, pairs, slots, answers);
    }
    table.clear();
    panels = 0;
  }

  private void multiply(ExpertWeights plain) {
    long h = plain.hidden();
    long i = plain.intermediate();
    int type = plain.dtype().ordinal();
    int parts = Bf16Products.chosen().parts();
    Tensor packed = scratch.panels.take(DType.U8, panels * MoeKernels.panelBytes(type, parts, h));
    Tensor hidden =
        scratch.hiddenPanels.take(DType.U8, panels * MoeKernels.panelBytes(type, parts, i));
    Threads.forRanges(
        panels,
        1,
        (from, to) ->
            MoeKernels.packPanels(
                type,
                parts,
                table.address(),
                table.size(),
                x.address(),
                x.stride(0),
                pairs.address(),
                slots,
                h,
                packed.address(),
                from,
                to));
    Threads.forRanges(
        panels * blocks(i, MoeKernels.gateUpRows(type)),
        1,
        (from, to) ->
            MoeKernels.prefillGateUp(
                type,
                parts,
                table.address(),
                table.size(),
                packed.address(),
                h,
                i,
                hidden.address(),
                from,
                to));
    Threads.forRanges(
        panels * blocks(h, MoeKernels.downRows(type)),
        1,
        (from, to) ->
            MoeKernels.prefillDown(
                type,
                parts,
                table.address(),
                table.size(),
                hidden.address(),
                h,
                i,
                answers.address(),
                from,
                to));
  }

  /** The blocks of so many rows in all of them. */
  static long blocks(long rows, long block) {
    return (rows + block - 1) / block;
  }
}
