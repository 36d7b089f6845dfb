package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.internal.CublasLt;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code gemm_rows.cu}, {@code gemm_tiles.cu} and {@code gemm_join.cu}. */
public final class CudaProducts {
  /** Up to so many rows the weights are gone through once by {@code gemm_rows.cu}. */
  public static final int FEW = 16;

  private static final int WARPS = 8;
  private static final int ROWS = 16;
  private static final int DEPTH = 64;
  private static final int JOIN_THREADS = 256;

  /** Blocks a multiprocessor below which K is shared out. */
  private static final int BLOCKS = 2;

  /** Steps of a tile that pay for a second pass. */
  private static final int FEWEST_STEPS = 8;

  private final CudaStream stream;
  private final Tensor workspace;

  /**
   * Launches on a stream.
   *
   * @param workspace F32, for sums of parts; of this stream alone
   */
  public CudaProducts(CudaStream stream, Tensor workspace) {
    this.stream = stream;
    this.workspace = workspace;
  }

  private static final class Sources {
    static final KernelSource ROWS = KernelSource.of(CudaProducts.class, "gemm_rows.cu");
    static final KernelSource TILES = KernelSource.of(CudaProducts.class, "gemm_tiles.cu");
    static final KernelSource JOIN = KernelSource.of(CudaProducts.class, "gemm_join.cu");
  }

  /**
   * How a block's tile of out is cut.
   *
   * @param rows of out
   * @param columns of out
   * @param warpRows rows of a warp, which has 32 columns
   * @param stages steps in shared memory at once
   */
  private record Tile(int rows, int columns, int warpRows, int stages) {
    static final Tile SMALL = new Tile(64, 64, 32, 4);
    static final Tile LARGE = new Tile(128, 128, 64, 3);

    /** Sums within a scale's block take registers of their own. */
    static final Tile LARGE_CODES = new Tile(128, 64, 32, 4);

    int threads() {
      return rows / warpRows * (columns / 32) * 32;
    }

    /** The bytes of {@code Shared} in the kernel's text. */
    int sharedBytes(int bits) {
      int stage = DEPTH * 2 * rows + DEPTH * bits / 8 * columns;
      return stages * stage + DEPTH * 2 * (bits < 16 ? columns : 1);
    }

    KernelSource define(KernelSource source) {
      return source
          .define("ROWS", rows)
          .define("COLUMNS", columns)
          .define("WARP_ROWS", warpRows)
          .define("STAGES", stages);
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (int out : new int[] {0, 1}) {
      all.add(Sources.JOIN.define("O", out));
    }
    int[][] weights = {{0, 0}, {1, 0}, {2, 128}, {2, 32}, {3, 128}, {3, 64}, {3, 32}};
    for (int[] format : weights) {
      for (int x : new int[] {0, 1}) {
        KernelSource rows =
            Sources.ROWS.define("W", format[0]).define("BLOCK", format[1]).define("O", x);
        all.add(rows(rows, x, 8, true));
        all.add(rows(rows, x, 16, x == 1));
      }
      KernelSource tiles =
          Sources.TILES.define("W", format[0]).define("BLOCK", format[1]).define("O", 1);
      if (format[0] > 0) {
        all.add(Tile.SMALL.define(tiles));
        all.add((format[0] == 1 ? Tile.LARGE : Tile.LARGE_CODES).define(tiles));
      }
    }
    return all;
  }

  private static KernelSource rows(KernelSource source, int x, int columns, boolean aligned) {
    return source.define("X", x).define("COLUMNS", columns).define("ALIGNED", aligned ? 1 : 0);
  }

  /** Whether tensor cores can take a product tile by tile. */
  private static boolean takesTiles(CudaProduct product) {
    return product.m() > FEW
        && product.x().dtype() == DType.BF16
        && product.bits() <= 16
        && product.isInGranules();
  }

  /** Puts a product on the stream. */
  public void multiply(CudaProduct product) {
    if (takesTiles(product)) {
      if (!byLibrary(product)) {
        byTiles(product);
      }
    } else {
      byRows(product);
    }
  }

  private boolean byLibrary(CudaProduct product) {
    return product.isForCublasLt()
        && CublasLt.availability().isAvailable()
        && CublasLt.multiply(
            product.shape(stream.device().index(), workspace.elements() * Float.BYTES),
            product.addresses(workspace),
            stream.address(),
            product.scale(),
            product.residualScale());
  }

  private void byRows(CudaProduct product) {
    int columns = product.m() <= 8 ? 8 : 16;
    int bits = product.bits();
    int bytes = product.quantized() == null ? 16 : Math.min(16, product.block() * bits / 32);
    int chunk = 4 * bytes * 8 / bits;
    long turn = (long) WARPS * chunk * (chunk >= 128 ? 2 : 4);
    long tiles = ceilDiv(product.n(), ROWS);
    long groups = ceilDiv(product.m(), columns);
    long span = span(product, tiles * groups, turn, turn);
    long parts = Math.max(1, ceilDiv(product.k(), span));
    KernelSource source =
        rows(
            product.specialise(Sources.ROWS),
            CudaProduct.code(product.x().dtype()),
            columns,
            product.isAligned());
    Tensor partial = partial(product, parts);
    KernelModule.of(stream.device(), source)
        .kernel("gemm_rows")
        .launch(
            stream,
            new LaunchShape(tiles, parts, groups, WARPS * 32, 0),
            product.arguments(span, partial));
    join(product, parts, partial);
  }

  private void byTiles(CudaProduct product) {
    Tile large = product.quantized() == null ? Tile.LARGE : Tile.LARGE_CODES;
    long count = ceilDiv(product.m(), large.rows) * ceilDiv(product.n(), large.columns);
    Tile tile = count >= stream.device().multiprocessors() ? large : Tile.SMALL;
    long down = ceilDiv(product.m(), tile.rows);
    long across = ceilDiv(product.n(), tile.columns);
    long span = span(product, down * across, 2 * DEPTH, (long) FEWEST_STEPS * DEPTH);
    long parts = Math.max(1, ceilDiv(product.k(), span));
    Tensor partial = partial(product, parts);
    KernelModule.of(stream.device(), tile.define(product.specialise(Sources.TILES)))
        .kernel("gemm_tiles")
        .launch(
            stream,
            new LaunchShape(down, across, parts, tile.threads(), tile.sharedBytes(product.bits())),
            product.arguments(span, partial));
    join(product, parts, partial);
  }

  /**
   * How much of K a block takes: all, or a multiple of {@code unit}, at least {@code least}, that
   * gives the GPU enough blocks and whose sums fit into the workspace.
   */
  private long span(CudaProduct product, long tiles, long unit, long least) {
    long wanted = ceilDiv((long) BLOCKS * stream.device().multiprocessors(), tiles);
    long fitting = workspace.elements() / (product.m() * product.n());
    long parts = Math.min(Math.min(wanted, fitting), product.k() / least);
    return Math.max(1, ceilDiv(ceilDiv(product.k(), Math.max(1, parts)), unit)) * unit;
  }

  private @Nullable Tensor partial(CudaProduct product, long parts) {
    return parts == 1 ? null : workspace.narrow(0, 0, parts * product.m() * product.n());
  }

  private void join(CudaProduct product, long parts, @Nullable Tensor partial) {
    if (partial == null) {
      return;
    }
    KernelArguments arguments = new KernelArguments().tensor(partial).i32(parts).i32(product.n());
    KernelSource source = Sources.JOIN.define("O", CudaProduct.code(product.out().dtype()));
    KernelModule.of(stream.device(), source)
        .kernel("gemm_join")
        .launch(
            stream,
            LaunchShape.of(product.m(), ceilDiv(product.n(), JOIN_THREADS), JOIN_THREADS),
            product.ending(arguments));
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
