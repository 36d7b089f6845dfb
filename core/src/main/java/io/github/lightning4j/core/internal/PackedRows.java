package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.ArrayList;
import java.util.List;

/**
 * Many rows of activations as {@code QuantPanels} of {@code quant_layout.h}, and their products in
 * {@code quant_panels.h}. Rows are rounded once for each layout among the weights, by all threads
 * together; the memory lives from there to {@link #close}, also in each run of a recording.
 */
final class PackedRows implements QuantKernels.Product {
  /** Elements below which one thread rounds faster than two. */
  private static final long GRAIN = 1 << 15;

  private final Tensor a;
  private final List<QuantizedMatrix> weights;

  /** For each matrix the first one of its layout. */
  private final int[] first;

  private final List<Memory> panels = new ArrayList<>();

  PackedRows(Tensor a, List<QuantizedMatrix> weights) {
    this.a = a;
    this.weights = weights;
    first = new int[weights.size()];
    for (int i = 0; i < first.length; i++) {
      first[i] = firstLike(i);
    }
    Recording.afterFailure(this::free);
    try {
      Recording.once(this::allocate);
      for (int i = 0; i < first.length; i++) {
        if (first[i] == i) {
          pack(i);
        }
      }
    } catch (RuntimeException | Error e) {
      free();
      throw e;
    }
  }

  private int firstLike(int i) {
    QuantFormat format = weights.get(i).format();
    int j = 0;
    while (weights.get(j).format().bits() != format.bits()
        || weights.get(j).format().block() != format.block()) {
      j++;
    }
    return j;
  }

  private long count() {
    long tokens = CoreKernels.quantPanelTokens();
    return (a.size(0) + tokens - 1) / tokens;
  }

  private void allocate() {
    try {
      for (int i = 0; i < first.length; i++) {
        long each = first[i] == i ? CoreKernels.quantPanelBytes(weights.get(i).descriptor()) : 0;
        panels.add(Memory.allocate(count() * each));
      }
    } catch (RuntimeException | Error e) {
      free();
      throw e;
    }
  }

  private void pack(int i) {
    long each = CoreKernels.quantPanelTokens() * a.size(1);
    Recording.forRanges(
        count(),
        Math.max(1, GRAIN / each),
        (from, to) ->
            CoreKernels.quantPack(
                weights.get(i).descriptor(),
                a.address(),
                a.stride(0),
                a.size(0),
                panels.get(i).address(),
                from,
                to));
  }

  @Override
  public void multiply(int i, Tensor out, long from, long to) {
    CoreKernels.quantPanelGemm(
        weights.get(i).descriptor(),
        panels.get(first[i]).address(),
        out.address(),
        out.stride(0),
        a.size(0),
        from,
        to);
  }

  @Override
  public void close() {
    Recording.release(this::free);
  }

  private void free() {
    panels.forEach(Memory::close);
    panels.clear();
  }
}
