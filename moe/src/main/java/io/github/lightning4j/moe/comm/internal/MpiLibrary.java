package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.Availability;
import org.bytedeco.javacpp.Loader;

/** Open MPI, opened on first use: whether it is there, and if not, why. */
public final class MpiLibrary {
  private static final Availability AVAILABILITY = open();

  private MpiLibrary() {}

  /** Whether Open MPI can be called. */
  public static Availability availability() {
    return AVAILABILITY;
  }

  private static Availability open() {
    try {
      Loader.load(MpiFunctions.class);
    } catch (UnsatisfiedLinkError | NoClassDefFoundError e) {
      String platform = Loader.Detector.getPlatform();
      return Availability.unavailable(
          "no native library for " + platform + " on the class path (" + e.getMessage() + ")",
          "add io.github.lightning4j:platform (or moe with classifier "
              + platform
              + ") to the class path");
    }
    return MpiFunctions.open() == 0
        ? Availability.available(MpiFunctions.version())
        : Availability.unavailable(
            MpiFunctions.problem(),
            "install Open MPI 3 or newer on every host (Debian: apt-get install openmpi-bin) and let"
                + " LD_LIBRARY_PATH name the folder of its libmpi.so.40");
  }
}
