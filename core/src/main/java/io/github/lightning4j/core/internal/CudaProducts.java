package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.internal.CublasLt;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.core.cuda.kernel.WarpGroups;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Launches of {@code gemm_rows.cu}, {@code gemm_tiles.cu} or {@code gemm_wgmma.cu}, and {@code
 * gemm_join.cu}.
 */
public final class CudaProducts {
  /** Up to so many rows the weights are gone through once by {@code gemm_rows.cu}. */
  public static final int FEW = 16;

  private static final int WARPS = 8;
  private static final int ROWS = 16;
  private static final int DEPTH = 64;
  private static final int JOIN_THREADS = 256;

  /** Blocks a multiprocessor below which K is shared out, but for the largest tile. */
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
    static final KernelSource WGMMA = KernelSource.of(CudaProducts.class, "gemm_wgmma.cu");
    static final KernelSource JOIN = KernelSource.of(CudaProducts.class, "gemm_join.cu");
  }

  /**
   * How a block's tile of out is cut.
   *
   * @param kernel that makes it, in the file of its name
   * @param rows of out
   * @param columns of out
   * @param threads of a block
   * @param stages steps in shared memory at once
   */
  private record Tile(String kernel, int rows, int columns, int threads, int stages) {
    private static final String WARPS = "gemm_tiles";
    private static final String GROUPS = "gemm_wgmma";

    static final Tile SMALL = new Tile(WARPS, 64, 64, 128, 4);
    static final Tile LARGE = new Tile(WARPS, 128, 128, 256, 3);

    /** Sums within a scale's block take registers of their own. */
    static final Tile LARGE_CODES = new Tile(WARPS, 128, 64, 256, 4);

    /** One block a multiprocessor. */
    static final Tile WIDE = new Tile(GROUPS, 192, 256, 384, 4);

    /** Two. */
    static final Tile NARROW = new Tile(GROUPS, 128, 128, 256, 3);

    /** The bytes of {@code Shared} in the kernel's text. */
    int sharedBytes(int bits) {
      int stage = DEPTH * 2 * rows + DEPTH * bits / 8 * columns;
      return stages * stage + DEPTH * 2 * (bits < 16 ? columns : 1);
    }

    /** Blocks of it that a multiprocessor is to have. */
    int resident() {
      return equals(WIDE) ? 1 : BLOCKS;
    }

    /** A warp of {@code gemm_tiles} has 32 columns; warp groups have all, and 64 rows. */
    KernelSource source(int weights, int block, int out) {
      KernelSource source =
          (kernel.equals(WARPS) ? Sources.TILES : Sources.WGMMA)
              .define("O", out)
              .define("COLUMNS", columns)
              .define("STAGES", stages);
      return kernel.equals(GROUPS)
          ? source.define("GROUPS", rows / 64)
          : source
              .define("W", weights)
              .define("BLOCK", block)
              .define("ROWS", rows)
              .define("WARP_ROWS", rows * columns / threads);
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (int out : new int[] {0, 1}) {
      all.add(Sources.JOIN.define("O", out));
    }
    int[][] weights = {{0, 1}, {1, 1}, {2, 128}, {2, 32}, {3, 128}, {3, 64}, {3, 32}};
    for (int[] format : weights) {
      for (int x : new int[] {0, 1}) {
        KernelSource rows =
            Sources.ROWS.define("W", format[0]).define("BLOCK", format[1]).define("O", x);
        all.add(rows(rows, x, 8, true));
        all.add(rows(rows, x, 16, x == 1));
      }
      if (format[0] > 0) {
        Tile large = format[0] == 1 ? Tile.LARGE : Tile.LARGE_CODES;
        all.add(Tile.SMALL.source(format[0], format[1], 1));
        all.add(large.source(format[0], format[1], 1));
      }
    }
    for (Tile tile : new Tile[] {Tile.WIDE, Tile.NARROW}) {
      all.add(tile.source(1, 1, 0));
      all.add(tile.source(1, 1, 1));
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
    long tiles = CudaRows.ceilDiv(product.n(), ROWS);
    long groups = CudaRows.ceilDiv(product.m(), columns);
    long span = span(product, wanted(BLOCKS, tiles * groups), turn, turn);
    long parts = Math.max(1, CudaRows.ceilDiv(product.k(), span));
    KernelSource source =
        rows(
            product.specialise(Sources.ROWS),
            CudaRows.code(product.x().dtype()),
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

  /** The largest tile that gives every multiprocessor one. */
  private Tile tile(CudaProduct product) {
    boolean dense = product.quantized() == null;
    if (dense && WarpGroups.areChosen(stream.device())) {
      for (Tile tile : new Tile[] {Tile.WIDE, Tile.NARROW}) {
        if (fills(product, tile)) {
          return tile;
        }
      }
    }
    Tile large = dense ? Tile.LARGE : Tile.LARGE_CODES;
    return fills(product, large) ? large : Tile.SMALL;
  }

  private boolean fills(CudaProduct product, Tile tile) {
    long count =
        CudaRows.ceilDiv(product.m(), tile.rows) * CudaRows.ceilDiv(product.n(), tile.columns);
    return count >= stream.device().multiprocessors();
  }

  private void byTiles(CudaProduct product) {
    Tile tile = tile(product);
    long down = CudaRows.ceilDiv(product.m(), tile.rows);
    long across = CudaRows.ceilDiv(product.n(), tile.columns);
    long wanted = wanted(tile.resident(), down * across);
    long span = span(product, wanted, 2 * DEPTH, (long) FEWEST_STEPS * DEPTH);
    long parts = Math.max(1, CudaRows.ceilDiv(product.k(), span));
    Tensor partial = partial(product, parts);
    KernelSource source =
        tile.source(product.weights(), product.block(), CudaRows.code(product.out().dtype()));
    KernelModule.of(stream.device(), source)
        .kernel(tile.kernel)
        .launch(
            stream,
            new LaunchShape(down, across, parts, tile.threads, tile.sharedBytes(product.bits())),
            product.arguments(span, partial));
    join(product, parts, partial);
  }

  /** Parts of K that give each multiprocessor so many blocks. */
  private long wanted(int resident, long tiles) {
    return CudaRows.ceilDiv((long) resident * stream.device().multiprocessors(), tiles);
  }

  /**
   * How much of K a block takes: all, or a multiple of {@code unit}, at least {@code least}, that
   * makes the parts wanted and whose sums fit into the workspace.
   */
  private long span(CudaProduct product, long wanted, long unit, long least) {
    long fitting = workspace.elements() / (product.m() * product.n());
    long parts = Math.min(Math.min(wanted, fitting), product.k() / least);
    return Math.max(1, CudaRows.ceilDiv(CudaRows.ceilDiv(product.k(), Math.max(1, parts)), unit))
        * unit;
  }

  private @Nullable Tensor partial(CudaProduct product, long parts) {
    return parts == 1 ? null : workspace.narrow(0, 0, parts * product.m() * product.n());
  }

  private void join(CudaProduct product, long parts, @Nullable Tensor partial) {
    if (partial == null) {
      return;
    }
    KernelArguments arguments = new KernelArguments().tensor(partial).i32(parts).i32(product.n());
    KernelSource source = Sources.JOIN.define("O", CudaRows.code(product.out().dtype()));
    KernelModule.of(stream.device(), source)
        .kernel("gemm_join")
        .launch(
            stream,
            LaunchShape.of(product.m(), CudaRows.ceilDiv(product.n(), JOIN_THREADS), JOIN_THREADS),
            product.ending(arguments));
  }
}
