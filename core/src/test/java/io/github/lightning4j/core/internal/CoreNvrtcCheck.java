package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;

final class CoreNvrtcCheck extends NvrtcContract {
  CoreNvrtcCheck() {
    super(CudaRows.class, CudaRows.sources());
  }
}
