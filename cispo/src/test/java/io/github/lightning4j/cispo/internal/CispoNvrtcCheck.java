package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;

final class CispoNvrtcCheck extends NvrtcContract {
  CispoNvrtcCheck() {
    super(CudaHead.class, CudaHead.sources());
  }
}
