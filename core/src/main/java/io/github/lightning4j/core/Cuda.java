package io.github.lightning4j.core;

import io.github.lightning4j.core.internal.CudaProbe;
import io.github.lightning4j.core.kernel.NativeLibrary;

/**
 * Whether NVIDIA GPUs can be used.
 *
 * <p>CUDA is an optional dependency ({@code org.bytedeco:cuda-platform}); no class of it is loaded
 * before this class has said that it is there.
 */
public final class Cuda {
  private static final String DEPENDENCY = "org.bytedeco:cuda-platform:13.1-9.19-1.5.13";

  private Cuda() {}

  /**
   * Whether there is a device, a driver and the Java bindings; found out on the first call. Never
   * throws.
   *
   * @return available, with the number of devices and their names, or what is missing and how to
   *     get it
   */
  public static Availability availability() {
    return Holder.AVAILABILITY;
  }

  private static final class Holder {
    static final Availability AVAILABILITY = probe();

    private static Availability probe() {
      if (Boolean.getBoolean(NativeLibrary.REFERENCE_PROPERTY)) {
        return Availability.unavailable(
            "the system property "
                + NativeLibrary.REFERENCE_PROPERTY
                + " forces the reference implementations",
            "remove it");
      }
      try {
        Class.forName("org.bytedeco.cuda.global.cudart", false, Cuda.class.getClassLoader());
      } catch (ClassNotFoundException e) {
        return Availability.unavailable(
            "org.bytedeco:cuda is not on the class path", "add " + DEPENDENCY + " to it");
      }
      return CudaProbe.probe(DEPENDENCY);
    }
  }
}
