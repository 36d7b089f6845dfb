package io.github.lightning4j.core.cuda.kernel;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How many threads a launch has.
 *
 * @param gridX blocks along x
 * @param gridY blocks along y, at most 65535
 * @param gridZ blocks along z, at most 65535
 * @param threads threads of a block: whole warps of 32, at most 1024
 * @param sharedBytes dynamic shared memory of a block
 */
public record LaunchShape(long gridX, long gridY, long gridZ, int threads, int sharedBytes) {
  private static final int WARP = 32;

  /**
   * Validates.
   *
   * @throws IllegalArgumentException if a number is out of the range that all GPUs have
   */
  public LaunchShape {
    checkArgument(
        gridX >= 1 && gridX <= Integer.MAX_VALUE,
        "gridX: expected 1 to %s blocks, got %s",
        Integer.MAX_VALUE,
        gridX);
    checkArgument(gridY >= 1 && gridY <= 65535, "gridY: expected 1 to 65535, got %s", gridY);
    checkArgument(gridZ >= 1 && gridZ <= 65535, "gridZ: expected 1 to 65535, got %s", gridZ);
    checkArgument(
        threads >= WARP && threads <= 1024 && threads % WARP == 0,
        "threads: expected a multiple of 32 up to 1024, got %s",
        threads);
    checkArgument(sharedBytes >= 0, "sharedBytes: expected >= 0, got %s", sharedBytes);
  }

  /** Blocks along x, without dynamic shared memory. */
  public static LaunchShape of(long blocks, int threads) {
    return new LaunchShape(blocks, 1, 1, threads, 0);
  }

  /** Blocks along x and y, without dynamic shared memory. */
  public static LaunchShape of(long blocksX, long blocksY, int threads) {
    return new LaunchShape(blocksX, blocksY, 1, threads, 0);
  }

  /** The same with dynamic shared memory. */
  public LaunchShape withShared(int bytes) {
    return new LaunchShape(gridX, gridY, gridZ, threads, bytes);
  }
}
