package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Where a model runs. */
final class DeviceOptions {
  private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description =
          "cpu, or cuda:N for an NVIDIA GPU (cuda: the first one); key-value caches are bf16 there"
              + " unless --kv says otherwise (${DEFAULT-VALUE}).")
  private String device = "cpu";

  /** Whether no GPU is asked for. */
  boolean isCpu() {
    return device.equals("cpu");
  }

  /**
   * The device.
   *
   * @throws IllegalArgumentException if the text is no device, or there is no such GPU
   * @throws IllegalStateException if there is no CUDA, with what is missing and how to get it
   */
  Device find() {
    return find(0);
  }

  /**
   * The same.
   *
   * @param localRank the number of this process on its host: its GPU where none is told
   */
  Device find(int localRank) {
    if (isCpu()) {
      return Device.CPU;
    }
    Matcher cuda = CUDA.matcher(device);
    checkArgument(cuda.matches(), "--device: expected cpu or cuda:N, got %s", device);
    KernelModule.availability().ensure("--device " + device);
    if (cuda.group(1) != null) {
      return CudaDevice.of(Integer.parseInt(cuda.group(1))).device();
    }
    checkArgument(
        localRank < CudaDevice.count(),
        "--device cuda: expected a GPU for each process, got process %s of a host that has %s;"
            + " start so many a host at most",
        localRank,
        CudaDevice.count());
    return Device.cuda(localRank);
  }
}
