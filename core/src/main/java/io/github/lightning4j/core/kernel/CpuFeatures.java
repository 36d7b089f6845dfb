package io.github.lightning4j.core.kernel;

import io.github.lightning4j.core.internal.CoreKernels;
import java.util.List;

/** What this CPU can do beyond the baseline of its architecture. */
public final class CpuFeatures {
  private CpuFeatures() {}

  /**
   * The features that kernels care about, as GCC names them ({@code avx2}, {@code avx512f}, {@code
   * amx-bf16}, ...). Empty where the native library of core is not available.
   */
  public static List<String> detected() {
    if (!CoreKernels.library().availability().isAvailable()) {
      return List.of();
    }
    String features = CoreKernels.cpuFeatures();
    return features.isEmpty() ? List.of() : List.of(features.split(" "));
  }
}
