package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;
import java.util.stream.Stream;

final class LightningNvrtcCheck extends NvrtcContract {
  LightningNvrtcCheck() {
    super(
        CudaLightning.class,
        Stream.concat(CudaLightning.sources().stream(), CudaLightningBackward.sources().stream())
            .toList());
  }
}
