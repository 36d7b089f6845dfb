package io.github.lightning4j.core.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Availability;
import org.junit.jupiter.api.Test;

final class CudaProbeTest {
  private static Availability of(String rootCause) {
    Throwable thrown = new UnsatisfiedLinkError("no jnicudart in java.library.path");
    thrown.initCause(new UnsatisfiedLinkError(rootCause));
    return CudaProbe.unloadable(thrown, "org.bytedeco:cuda-platform:1");
  }

  @Test
  void tellsAMissingDriverFromAMissingRuntime() {
    Availability driver = of("libjnicudart.so: libcuda.so.1: cannot open shared object file");
    assertThat(driver.isAvailable()).isFalse();
    assertThat(driver.reason()).startsWith("the NVIDIA driver is not installed: libcuda.so.1");
    assertThat(driver.fix()).startsWith("install the NVIDIA driver");
    Availability runtime = of("libjnicudart.so: libcudart.so.13: cannot open shared object file");
    assertThat(runtime.reason()).startsWith("the CUDA runtime is not installed: libcudart.so.13");
    assertThat(runtime.fix()).endsWith("add org.bytedeco:cuda-platform-redist:1");
  }
}
