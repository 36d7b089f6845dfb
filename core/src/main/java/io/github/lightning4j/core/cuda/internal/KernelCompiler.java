package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.cuda.kernel.KernelSource;

/** From text to machine code: NVRTC, or what stands for it in tests of the cache. */
public interface KernelCompiler {
  /** Tells compilers apart whose results may differ. */
  String version();

  /** Machine code for an architecture such as {@code sm_90a}. */
  byte[] compile(KernelSource source, String architecture);
}
