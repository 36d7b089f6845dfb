package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.kernel.Bf16Products;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of {@code bf16_tile_kernels.h}: bf16 weights and many rows of certain activations,
 * which all threads together bring into panels first; the panels live from there to {@link #close},
 * also in each run of a recording.
 */
public final class TileGemm implements GemmKernel {
  /** Elements below which one thread packs faster than two. */
  private static final long GRAIN = 1 << 15;

  private final Tensor a;
  private final int parts = Bf16Products.chosen().parts();
  private @Nullable Memory panels;

  /** For products of {@code a} alone. */
  public TileGemm(Tensor a) {
    this.a = a;
    Recording.afterFailure(this::free);
    try {
      Recording.once(this::allocate);
      Recording.forRanges(
          count(),
          Math.max(1, GRAIN / Math.max(1, CoreKernels.bf16PanelTokens() * a.size(1))),
          this::pack);
    } catch (RuntimeException | Error e) {
      free();
      throw e;
    }
  }

  /** Whether this CPU has tiles, and they are to be used. */
  public static boolean isAvailable() {
    return CoreKernels.bf16PanelTokens() > 0;
  }

  private long count() {
    long tokens = CoreKernels.bf16PanelTokens();
    return (a.size(0) + tokens - 1) / tokens;
  }

  private void allocate() {
    panels = Memory.allocate(count() * CoreKernels.bf16PanelBytes(parts, a.size(1)));
  }

  private long address() {
    Memory memory = panels;
    if (memory == null) {
      throw new IllegalStateException("the panels of activations are closed");
    }
    return memory.address();
  }

  private void pack(long from, long to) {
    CoreKernels.bf16Pack(
        a.address(), a.stride(0), a.size(0), a.size(1), parts, address(), from, to);
  }

  @Override
  public void multiply(Tensor a, Tensor w, Tensor out, long from, long to) {
    CoreKernels.bf16PanelGemm(
        w.address(),
        w.stride(0),
        parts,
        address(),
        out.address(),
        out.stride(0),
        a.size(0),
        a.size(1),
        from,
        to);
  }

  @Override
  public void close() {
    Recording.release(this::free);
  }

  private void free() {
    if (panels != null) {
      panels.close();
      panels = null;
    }
  }
}
