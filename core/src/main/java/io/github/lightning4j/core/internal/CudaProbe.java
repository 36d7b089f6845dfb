package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.cuda.internal.Driver;
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
    int status = cudart.cuInit(0);
    int[] count = {0};
    if (status == cudart.CUDA_SUCCESS) {
      status = cudart.cuDeviceGetCount(count);
    }
    if (status != cudart.CUDA_SUCCESS || count[0] == 0) {
      String found = status == cudart.CUDA_SUCCESS ? "no device" : Driver.describe(status);
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
    int major = Driver.attribute(ordinal, cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    int minor = Driver.attribute(ordinal, cudart.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return Driver.name(ordinal) + " (sm_" + major + minor + ")";
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
