package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Availability;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.global.cudart;

/** Asks the CUDA driver for its devices; loaded only where the bindings are on the class path. */
public final class CudaProbe {
  private CudaProbe() {}

  /**
   * Loads the bindings and counts the devices.
   *
   * @param dependency the artifact that brings the bindings, for the fix
   */
  public static Availability probe(String dependency) {
    try {
      return devices();
    } catch (LinkageError e) {
      return unloadable(e, dependency);
    }
  }

  private static Availability devices() {
    int[] count = {0};
    int status = cudart.cudaGetDeviceCount(count);
    if (status != cudart.cudaSuccess || count[0] == 0) {
      String found =
          status == cudart.cudaSuccess
              ? "no device"
              : cudart.cudaGetErrorString(status).getString() + " (" + status + ")";
      return Availability.unavailable(
          "the CUDA driver says: " + found,
          "check with nvidia-smi that a device is visible and that the driver supports CUDA 13");
    }
    List<String> names = new ArrayList<>();
    for (int device = 0; device < count[0]; device++) {
      names.add(name(device));
    }
    return Availability.available(count[0] + " CUDA device(s): " + String.join(", ", names));
  }

  private static String name(int ordinal) {
    int[] device = {0};
    byte[] name = new byte[256];
    cudart.cuInit(0);
    cudart.cuDeviceGet(device, ordinal);
    cudart.cuDeviceGetName(name, name.length, device[0]);
    int[] major = {0};
    int[] minor = {0};
    cudart.cudaDeviceGetAttribute(major, cudart.cudaDevAttrComputeCapabilityMajor, ordinal);
    cudart.cudaDeviceGetAttribute(minor, cudart.cudaDevAttrComputeCapabilityMinor, ordinal);
    String text = new String(name, StandardCharsets.UTF_8);
    return text.substring(0, text.indexOf(0)) + " (sm_" + major[0] + minor[0] + ")";
  }

  /** Tells from the chain of causes which library is missing. */
  static Availability unloadable(Throwable thrown, String dependency) {
    Throwable root = thrown;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String message = String.valueOf(root.getMessage());
    if (message.contains("libcuda.so")) {
      return Availability.unavailable(
          "the NVIDIA driver is not installed: libcuda.so.1 did not load (" + message + ")",
          "install the NVIDIA driver (580 or later for CUDA 13)");
    }
    if (message.contains("libcudart.so")) {
      return Availability.unavailable(
          "the CUDA runtime is not installed: libcudart.so.13 did not load (" + message + ")",
          "install CUDA 13 or add " + dependency.replace("platform", "platform-redist"));
    }
    return Availability.unavailable(
        "the CUDA bindings did not load (" + message + ")",
        "add " + dependency + " to the class path");
  }
}
