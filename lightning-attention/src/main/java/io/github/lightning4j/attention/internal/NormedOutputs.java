package io.github.lightning4j.attention.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Outputs that go through the gated norm while they are in the cache: a block of tokens of all
 * heads, then its norm. States cross from block to block in memory. 16-bit outputs have a block of
 * F32 between.
 */
public final class NormedOutputs {
  /** Bytes of a block's outputs in F32, about what the caches near a core hold. */
  private static final long BLOCK = 1 << 20;

  private final LightningKernels kernels;
  private final GatedNormKernel norms;
  private final Tensor weight;
  private final float eps;
  private final @Nullable Tensor gate;

  /** A norm with its weights and gate, checked. */
  public NormedOutputs(
      LightningKernels kernels,
      GatedNormKernel norms,
      Tensor weight,
      float eps,
      @Nullable Tensor gate) {
    this.kernels = kernels;
    this.norms = norms;
    this.weight = weight;
    this.eps = eps;
    this.gate = gate;
  }

  /** A decode step, its outputs normed. */
  public void decode(DecodeCall c) {
    Tensor out = c.out();
    long width = out.size(1) * out.size(2);
    try (Tensor block = wide(out, out.shape())) {
      checkState(
          block == null || !Recording.isActive(),
          "out: %s with a norm cannot be recorded, F32 can",
          out.dtype());
      Tensor bare = block == null ? out : block;
      kernels.decode(
          new DecodeCall(
              c.q(), c.k(), c.v(), bare, c.logDecay(), c.options(), c.pool(), c.slots()));
      norm(bare.reshape(out.size(0), width), gate, out.reshape(out.size(0), width));
    }
  }

  /** A prefill, its outputs normed. */
  public void prefill(PrefillCall c) {
    long bytes = 4 * c.heads() * c.dv();
    long tokens = Math.max(64, BLOCK / bytes / Split.CHUNK * Split.CHUNK);
    kernels.prefill(
        c.over(
            c.sequences().stream().filter(s -> s.tokens() == 0).toList(), c.initial(), c.last()));
    Map<Long, List<Sequence>> ofRow =
        c.sequences().stream()
            .filter(s -> s.tokens() > 0)
            .collect(Collectors.groupingBy(Sequence::row));
    Tensor out = c.out();
    long longest = Math.max(1, Math.min(tokens, out.size(1)));
    long together = out.size(1) <= tokens ? tokens / longest : 1;
    try (Tensor block = wide(out, Math.min(together, out.size(0)), longest, c.heads(), c.dv());
        Tensor carried =
            out.size(1) <= tokens
                ? null
                : Tensor.allocate(stateType(out), 1, c.heads(), c.dk(), c.dv())) {
      for (long row = 0; row < out.size(0); row += together) {
        List<Sequence> sequences = new ArrayList<>();
        long rows = Math.min(together, out.size(0) - row);
        for (long r = row; r < row + rows; r++) {
          sequences.addAll(ofRow.getOrDefault(r, List.of()));
        }
        for (long from = 0; from < out.size(1); from += tokens) {
          long count = Math.min(tokens, out.size(1) - from);
          block(c.over(sequences, c.initial(), c.last()), row, rows, from, count, block, carried);
        }
      }
    }
  }

  private static DType stateType(Tensor out) {
    return out.dtype() == DType.F64 ? DType.F64 : DType.F32;
  }

  /** Room for outputs before the norm, or null if they can lie in {@code out}. */
  private static @Nullable Tensor wide(Tensor out, long... shape) {
    return out.dtype().bytes() >= 4 ? null : Tensor.allocate(DType.F32, shape);
  }

  /** Tokens {@code [from, from + count)} of some rows. */
  private void block(
      PrefillCall c,
      long row,
      long rows,
      long from,
      long count,
      @Nullable Tensor block,
      @Nullable Tensor carried) {
    Tensor out = c.out().narrow(0, row, rows).narrow(1, from, count);
    Tensor bare = block == null ? out : block.narrow(0, 0, rows).narrow(1, 0, count);
    PrefillCall part =
        new PrefillCall(
            c.q().narrow(0, row, rows).narrow(1, from, count),
            c.k().narrow(0, row, rows).narrow(1, from, count),
            c.v().narrow(0, row, rows).narrow(1, from, count),
            bare,
            c.logDecay(),
            c.options(),
            c.initial(),
            c.last(),
            c.snapshots(),
            c.snapshotEvery(),
            List.of());
    List<Sequence> whole = new ArrayList<>();
    for (Sequence s : c.sequences()) {
      long start = Math.max(s.first(), from);
      long end = Math.min(s.first() + s.tokens(), from + count);
      if (start >= end) {
        continue;
      }
      boolean begins = start == s.first();
      boolean ends = end == s.first() + s.tokens();
      Sequence piece =
          s.part(
                  start - s.first(),
                  end - start,
                  begins ? s.initial() : 0,
                  ends ? s.last() : 0,
                  c.snapshotEvery())
              .from(s.row() - row, start - from);
      if (begins && ends) {
        whole.add(piece);
      } else {
        kernels.prefill(
            part.over(List.of(piece), begins ? c.initial() : carried, ends ? c.last() : carried));
      }
    }
    kernels.prefill(part.over(whole, c.initial(), c.last()));
    for (long r = 0; r < rows; r++) {
      Tensor gates = gate == null ? null : gate.select(0, row + r).narrow(0, from, count);
      norm(rows(bare.select(0, r)), gates, rows(out.select(0, r)));
    }
  }

  /** {@code [T, H, D]}, heads side by side, as {@code [T, H D]}. */
  private static Tensor rows(Tensor x) {
    return x.strided(0, new long[] {x.size(0), x.size(1) * x.size(2)}, new long[] {x.stride(0), 1});
  }

  private void norm(Tensor x, @Nullable Tensor gates, Tensor out) {
    long grain = Math.max(1, (1 << 14) / x.size(1));
    Recording.forRanges(
        x.size(0), grain, (from, to) -> norms.apply(x, gates, weight, eps, out, from, to));
  }
}
