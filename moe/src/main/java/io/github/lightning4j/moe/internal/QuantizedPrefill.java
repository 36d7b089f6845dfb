package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.moe.QuantizedExpertWeights;

/** The kernels of {@code quant_prefill_kernels.h} over a wave of {@link GroupedPrefill}. */
final class QuantizedPrefill {
  /** Elements below which one thread rounds faster than two. */
  private static final long GRAIN = 1 << 15;

  private final ExpertTable table;
  private final long panels;
  private final QuantizedExpertWeights weights;
  private final Scratch scratch;

  QuantizedPrefill(
      ExpertTable table, long panels, QuantizedExpertWeights weights, Scratch scratch) {
    this.table = table;
    this.panels = panels;
    this.weights = weights;
    this.scratch = scratch;
  }

  /** Fills the answers of the experts in the table. */
  void run(Tensor x, Tensor pairs, int slots, Tensor answers) {
    long h = weights.hidden();
    long i = weights.intermediate();
    Tensor hidden = scratch.hiddenPanels.take(DType.F32, panels * MoeKernels.panelTokens(), i);
    long tokens = pack(weights.gate(0), x, pairs.address(), slots);
    Threads.forRanges(
        panels * GroupedPrefill.blocks(i, MoeKernels.quantGateUpRows()),
        1,
        (from, to) ->
            MoeKernels.quantPrefillGateUp(
                table.address(), table.size(), tokens, i, hidden.address(), from, to));
    long coded = pack(weights.down(0), hidden, 0, 1);
    Threads.forRanges(
        panels * GroupedPrefill.blocks(h, MoeKernels.quantDownRows()),
        1,
        (from, to) ->
            MoeKernels.quantPrefillDown(
                table.address(), table.size(), coded, h, answers.address(), from, to));
  }

  /** Rows as panels against a matrix, in the place of those before; returns their address. */
  private long pack(QuantizedMatrix w, Tensor rows, long pairs, int slots) {
    long bytes = MoeKernels.quantPanelBytes(w.descriptor());
    Tensor packed = scratch.panels.take(DType.U8, panels * bytes);
    Threads.forRanges(
        panels,
        Math.max(1, GRAIN / (MoeKernels.panelTokens() * rows.size(1))),
        (from, to) ->
            MoeKernels.quantPackPanels(
                w.descriptor(),
                table.address(),
                table.size(),
                rows.address(),
                rows.stride(0),
                pairs,
                slots,
                packed.address(),
                from,
                to));
    return packed.address();
  }
}
