package io.github.lightning4j.core.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.ChildJvm;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The driver that runs kernels on the CPU: it does what a GPU does, and tells of what a GPU leaves
 * undefined. Runs only in the execution {@code emulated-gpu}, and fails if that has a real GPU.
 */
final class EmulatedGpuCheck {
  private static final KernelSource FAULTS = KernelSource.of(EmulatedGpuCheck.class, "faults.cu");

  @Test
  void isTheOneInUse() {
    try (Gpu gpu = new Gpu()) {
      assertThat(gpu.device().toString()).isEqualTo("cuda:0 (SIMT emulation, sm_90a)");
    }
  }

  @Test
  void movesValuesBetweenLanesAsAGpuDoes() {
    try (Gpu gpu = new Gpu()) {
      int[] in = new int[256];
      for (int i = 0; i < in.length; i++) {
        in[i] = 1000 + i;
      }
      Tensor out = gpu.up(Tensor.of(new int[512], 512));
      KernelModule.of(gpu.device(), FAULTS)
          .kernel("collectives")
          .launch(
              gpu.stream(),
              LaunchShape.of(1, 64),
              new KernelArguments().tensor(gpu.up(Tensor.of(in, 256))).tensor(out));
      long[] got = gpu.down(out).toLongs();
      for (int i = 0; i < 64; i++) {
        int lane = i % 32;
        int base = i - lane;
        int from = 255 - i * 4;
        assertThat(got[i]).isEqualTo((from < 192 ? 1000 + from : 0) + 1000 + i);
        assertThat(got[64 + i]).isEqualTo(lane < 3 ? i : i - 3);
        assertThat(got[128 + i]).isEqualTo(lane % 8 < 3 ? i + 5 : i);
        assertThat(got[192 + i]).isEqualTo(i ^ 12);
        assertThat(got[256 + i]).isEqualTo(i / 8 * 8 + 1);
        assertThat((int) got[320 + i]).isEqualTo(base == 0 ? 0x49249249 : 0x92492492);
        assertThat(got[384 + i]).isEqualTo(lane < 8 ? i ^ 1 : base == 0 ? 1 : 2);
      }
      assertThat(got[448]).isEqualTo(-1);
      assertThat(got[449]).isEqualTo(63);
      assertThat(got[450]).isEqualTo(63 * 32);
    }
  }

  @Test
  void multipliesTilesAsTensorCoresDo() {
    try (Gpu gpu = new Gpu();
        Tensor a = Cases.normal(1, DType.BF16, 16, 16);
        Tensor b = Cases.normal(2, DType.BF16, 16, 16)) {
      double[] expected = new double[256];
      Elements left = a.accessor();
      Elements right = b.accessor();
      for (int i = 0; i < 256; i++) {
        for (int k = 0; k < 16; k++) {
          expected[i] += left.get(i / 16 * 16 + k) * right.get(k * 16 + i % 16);
        }
      }
      Tensor x = gpu.allocate(DType.BF16, 16, 16);
      Tensor y = gpu.allocate(DType.BF16, 16, 16);
      gpu.stream().copy(a, x);
      gpu.stream().copy(b, y);
      Tensor out = gpu.allocate(DType.F32, 16, 16);
      KernelModule.of(gpu.device(), FAULTS)
          .kernel("tile_product")
          .launch(
              gpu.stream(),
              LaunchShape.of(1, 32),
              new KernelArguments().tensor(x).tensor(y).tensor(out));
      Closeness.assertNmse("product", gpu.doubles(out), expected, 1e-12);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          forgotten_barrier      | 64 | none | depends on the order of threads
          forgotten_warp_barrier | 32 | none | depends on the order of threads
          divergent_barrier      | 64 | none | waits at __syncthreads, but thread (60, 0, 0) of block (0, 0, 0) has returned
          divergent_shuffle      | 32 | none | waits at a shuffle, but thread (31, 0, 0) of block (0, 0, 0) has returned
          shuffle_from_outside   | 32 | none | shuffle from lane 16, which mask 0000ffff lacks
          outside_shared         | 32 | 32   | index outside its array
          beside_dynamic_shared  | 32 | 128  | a write beside the dynamic shared memory of 128 bytes
          misaligned             | 32 | none | not aligned for its type
          beside_memory          | 32 | 64   | a write 1 bytes behind an allocation of 256
          beside_memory          | 32 | -1   | a write 1 bytes before an allocation of 256
          stray_pointer          | 32 | none | argument 0 points to no memory of the device
          """)
  void tellsOfWhatAGpuLeavesUndefined(String kernel, String threads, String index, String told) {
    expectLoss("faults.cu", kernel, threads, index, told);
  }

  /** Runs a kernel that goes wrong in a child and asks for what is told of it. */
  static void expectLoss(String source, String kernel, String threads, String index, String told) {
    ChildJvm.Result result =
        new ChildJvm().brief().run(EmulatedGpuCheck.class, kernel, threads, index, source);
    assertThat(result.output()).contains("simt: ").contains(told).contains("lost, closed cleanly");
    assertThat(result.status()).isZero();
  }

  @Test
  void copiesNothingThatIsNotWaitedFor() {
    try (Gpu gpu = new Gpu()) {
      Tensor out = gpu.allocate(DType.I32, 32);
      KernelModule.of(gpu.device(), FAULTS)
          .kernel("unwaited_copy")
          .launch(
              gpu.stream(),
              LaunchShape.of(1, 32),
              new KernelArguments().tensor(gpu.up(Tensor.of(new int[128], 128))).tensor(out));
      assertThat(gpu.down(out).toLongs()).containsOnly(-1);
    }
  }

  /** Runs a kernel that goes wrong, in a child; the device is lost with it. */
  public static void main(String[] arguments) {
    Gpu gpu = new Gpu();
    Tensor out = gpu.allocate(DType.I32, 64);
    KernelArguments given = new KernelArguments();
    String name = arguments[0];
    if (name.equals("stray_pointer")) {
      name = "forgotten_barrier";
      given.i64(4096);
    } else {
      given.tensor(out);
    }
    if (!arguments[2].equals("none")) {
      given.i32(Integer.parseInt(arguments[2]));
    }
    KernelSource source = KernelSource.of(EmulatedGpuCheck.class, arguments[3]);
    int shared = arguments[3].equals("faults.cu") ? 128 : 24 << 10;
    LaunchShape shape = LaunchShape.of(1, Integer.parseInt(arguments[1])).withShared(shared);
    Kernel kernel = KernelModule.of(gpu.device(), source).kernel(name);
    kernel.launch(gpu.stream(), shape, given);
    try {
      gpu.stream().synchronize();
    } catch (CudaDeviceLostException e) {
      try {
        kernel.launch(gpu.stream(), shape, given);
      } catch (CudaDeviceLostException again) {
        out.close();
        gpu.stream().close();
        System.out.println("lost, closed cleanly");
      }
    }
  }
}
