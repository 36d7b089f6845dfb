package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;

final class LightningNvrtcCheck extends NvrtcContract {
  LightningNvrtcCheck() {
    super(CudaLightning.class, CudaLightning.sources());
  }
}
