package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;

final class KvQuantNvrtcCheck extends NvrtcContract {
  KvQuantNvrtcCheck() {
    super(CudaAttention.class, CudaAttention.sources());
  }
}
