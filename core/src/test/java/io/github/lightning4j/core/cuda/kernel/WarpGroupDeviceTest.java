package io.github.lightning4j.core.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Products of a warp group where the PTX manual says that operands and sums lie: the places are
 * worked out here once more, by its tables, so that neither the kernels' headers nor the driver
 * that runs kernels on the CPU are their own measure. Hopper only.
 */
@RequiresCuda
final class WarpGroupDeviceTest {
  private static final int DEPTH = 64;
  private static final int ROWS = 64;

  private final int[][] a = integers(1, ROWS);

  /** Small integers: their products and sums are exact. */
  private static int[][] integers(long seed, int rows) {
    Random random = new Random(seed);
    int[][] all = new int[rows][DEPTH];
    for (int[] row : all) {
      for (int k = 0; k < DEPTH; k++) {
        row[k] = random.nextInt(17) - 8;
      }
    }
    return all;
  }

  private static int bits(int value) {
    return Bfloat16.fromFloat(value) & 0xffff;
  }

  /**
   * Rows of 128 bytes of a K-major matrix with the swizzle of 128 bytes: bits 4 to 6 of an address
   * are exclusive-or bits 7 to 9.
   */
  private static void put(int[] image, int start, int[][] rows) {
    for (int r = 0; r < rows.length; r++) {
      for (int k = 0; k < DEPTH; k++) {
        int address = start + r * 128 + k * 2;
        int swizzled = address ^ (address >> 7 & 7) << 4;
        image[swizzled / 4] |= bits(rows[r][k]) << swizzled % 4 * 8;
      }
    }
  }

  /** Fragments of A, 64 x 16: registers {@code [thread][step][4]}. */
  private int[] registers() {
    int[] all = new int[128 * 16];
    for (int i = 0; i < all.length; i++) {
      int thread = i / 16;
      int register = i % 4;
      int row = thread / 32 * 16 + thread % 32 / 4 + (register == 1 || register == 3 ? 8 : 0);
      int column = i / 4 % 4 * 16 + thread % 4 * 2 + (register >= 2 ? 8 : 0);
      all[i] = bits(a[row][column]) | bits(a[row][column + 1]) << 16;
    }
    return all;
  }

  private void check(int columns, boolean fromRegisters) {
    int[][] b = integers(2, columns);
    int[] image = new int[(ROWS + columns) * DEPTH / 2];
    if (!fromRegisters) {
      put(image, 0, a);
    }
    put(image, ROWS * 128, b);
    try (Gpu gpu = new Gpu()) {
      assumeTrue(gpu.device().architecture().equals("sm_90a"), "wgmma is Hopper's alone");
      Tensor out = gpu.allocate(DType.F32, 128, columns / 2);
      KernelArguments arguments =
          new KernelArguments().tensor(gpu.up(Tensor.of(image, image.length)));
      arguments.tensorOrNull(fromRegisters ? gpu.up(Tensor.of(registers(), 128 * 16)) : null);
      KernelModule.of(gpu.device(), KernelSource.of(WarpGroupDeviceTest.class, "warpgroups.cu"))
          .kernel((fromRegisters ? "registers_" : "tiles_") + columns)
          .launch(
              gpu.stream(),
              LaunchShape.of(1, 128).withShared(image.length * Integer.BYTES),
              arguments.tensor(out));
      double[] sums = gpu.doubles(out);
      for (int i = 0; i < sums.length; i++) {
        int thread = i / (columns / 2);
        int register = i % (columns / 2);
        int row = thread / 32 * 16 + thread % 32 / 4 + register / 2 % 2 * 8;
        int column = register / 4 * 8 + thread % 4 * 2 + register % 2;
        int expected = 0;
        for (int k = 0; k < DEPTH; k++) {
          expected += a[row][k] * b[column][k];
        }
        assertThat(sums[i]).as("row %s, column %s", row, column).isEqualTo(expected);
      }
    }
  }

  @Test
  void multipliesTilesOfSharedMemory() {
    check(128, false);
    check(256, false);
  }

  @Test
  void multipliesRegistersWithTiles() {
    check(128, true);
  }
}
