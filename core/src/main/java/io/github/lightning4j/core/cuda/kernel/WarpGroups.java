package io.github.lightning4j.core.cuda.kernel;

import io.github.lightning4j.core.cuda.CudaDevice;

/**
 * Whether products of many rows take the kernels for warp groups (wgmma). They compile for compute
 * capability 9.0 and no other, and are chosen where the system property {@value #PROPERTY} is
 * {@code true} too; it is read at each call. Without it, kernels that run on every GPU are taken.
 */
public final class WarpGroups {
  /** The name of the system property. */
  public static final String PROPERTY = "lightning4j.cuda.wgmma";

  private static final String ARCHITECTURE = "sm_90a";

  private WarpGroups() {}

  /** Whether a GPU has products of warp groups. */
  public static boolean exist(CudaDevice device) {
    return device.architecture().equals(ARCHITECTURE);
  }

  /** Whether they exist and are wanted. */
  public static boolean areChosen(CudaDevice device) {
    return exist(device) && Boolean.getBoolean(PROPERTY);
  }
}
