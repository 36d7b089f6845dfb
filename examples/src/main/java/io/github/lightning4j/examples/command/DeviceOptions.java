package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

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
          "cpu, or cuda:N for an NVIDIA GPU, which whole models do not run on yet"
              + " (${DEFAULT-VALUE}).")
  private String device = "cpu";

  /**
   * Ends well for the CPU only.
   *
   * @throws IllegalArgumentException if the text is no device, there is no such GPU, or there is
   *     one, since models do not run there yet
   * @throws IllegalStateException if there is no CUDA, with what is missing and how to get it
   */
  void check() {
    if (device.equals("cpu")) {
      return;
    }
    Matcher cuda = CUDA.matcher(device);
    checkArgument(cuda.matches(), "--device: expected cpu or cuda:N, got %s", device);
    KernelModule.availability().ensure("--device " + device);
    CudaDevice found = CudaDevice.of(Integer.parseInt(cuda.group(1)));
    throw new IllegalArgumentException(
        "--device "
            + device
            + ": "
            + found
            + " is there, but only single operators run on GPUs so far, not whole models; leave"
            + " the option out");
  }
}
