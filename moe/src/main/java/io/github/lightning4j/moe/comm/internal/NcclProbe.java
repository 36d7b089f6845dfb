package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.Availability;
import org.bytedeco.cuda.global.nccl;

/** Looks for NCCL; loaded only where the CUDA bindings are on the class path. */
public final class NcclProbe {
  private NcclProbe() {}

  /** Loads the bindings of NCCL and asks for its version. */
  public static Availability probe() {
    int[] version = {0};
    try {
      int status = nccl.ncclGetVersion(version);
      return status == nccl.ncclSuccess
          ? Availability.available("NCCL " + text(version[0]))
          : Availability.unavailable(
              "NCCL says: " + nccl.ncclGetErrorString(status).getString(),
              "run with NCCL_DEBUG=WARN to see why");
    } catch (LinkageError e) {
      return unloadable(e);
    }
  }

  /** 22903 is 2.29.3. */
  static String text(int version) {
    return version / 10_000 + "." + version / 100 % 100 + "." + version % 100;
  }

  static Availability unloadable(Throwable thrown) {
    Throwable root = thrown;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return Availability.unavailable(
        "NCCL is not installed: libnccl.so.2 did not load (" + root.getMessage() + ")",
        "install NCCL 2 for CUDA 13 (NVIDIA's repository for Debian: apt-get install libnccl2) and let"
            + " LD_LIBRARY_PATH name its folder");
  }
}
