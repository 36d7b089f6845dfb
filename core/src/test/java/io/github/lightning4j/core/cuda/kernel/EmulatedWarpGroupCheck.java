package io.github.lightning4j.core.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The driver that runs kernels on the CPU tells of products of warp groups that a GPU leaves
 * undefined; that it makes right ones is shown by {@link WarpGroupDeviceTest}. Runs only in the
 * execution {@code emulated-gpu}.
 */
final class EmulatedWarpGroupCheck {
  private static final String SOURCE = "warpgroups.cu";

  private static long[] launch(int how) {
    try (Gpu gpu = new Gpu()) {
      Tensor out = gpu.up(Tensor.of(new int[64], 64));
      KernelModule.of(gpu.device(), KernelSource.of(EmulatedWarpGroupCheck.class, SOURCE))
          .kernel("wrong_product")
          .launch(
              gpu.stream(),
              LaunchShape.of(1, 128).withShared(24 << 10),
              new KernelArguments().tensor(out).i32(how));
      return gpu.down(out).toLongs();
    }
  }

  @Test
  void letsPassWhatIsRight() {
    assertThat(launch(0)).containsOnly(0);
  }

  @Test
  void givesNoSumsBeforeTheyAreWaitedFor() {
    for (long bits : launch(11)) {
      assertThat(Float.intBitsToFloat((int) bits)).isNaN();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          1  | wgmma reads what was written without fence.proxy.async behind it
          2  | wgmma reads what was written behind the last barrier
          3  | wgmma without wgmma.fence before it
          4  | warps of a group do not do the same
          5  | a matrix that starts at 256: not in the first row of a swizzle
          6  | registers of A were written before wgmma was waited for
          7  | sums of wgmma were written before it was waited for
          8  | shared memory that wgmma reads was written before wgmma was waited for
          9  | a copy to what wgmma reads, before wgmma was waited for
          10 | a warp returns before its wgmma was waited for
          """)
  void tellsOfWhatAGpuLeavesUndefined(String how, String told) {
    EmulatedGpuCheck.expectLoss(SOURCE, "wrong_product", "128", how, told);
  }
}
