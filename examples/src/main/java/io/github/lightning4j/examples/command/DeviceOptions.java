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
  private static final Pattern CUDA = Pattern.compile("cuda:(\\d{1,4})");

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description =
          "cpu, or cuda:N for an NVIDIA GPU; key-value caches are bf16 there unless --kv says"
              + " otherwise (${DEFAULT-VALUE}).")
  private String device = "cpu";

  /**
   * The device.
   *
   * @throws IllegalArgumentException if the text is no device, or there is no such GPU
   * @throws IllegalStateException if there is no CUDA, with what is missing and how to get it
   */
  Device find() {
    if (device.equals("cpu")) {
      return Device.CPU;
    }
    Matcher cuda = CUDA.matcher(device);
    checkArgument(cuda.matches(), "--device: expected cpu or cuda:N, got %s", device);
    KernelModule.availability().ensure("--device " + device);
    return CudaDevice.of(Integer.parseInt(cuda.group(1))).device();
  }
}
