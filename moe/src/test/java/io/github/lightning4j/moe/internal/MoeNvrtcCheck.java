package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;

final class MoeNvrtcCheck extends NvrtcContract {
  MoeNvrtcCheck() {
    super(CudaExperts.class, CudaExperts.sources());
  }
}
