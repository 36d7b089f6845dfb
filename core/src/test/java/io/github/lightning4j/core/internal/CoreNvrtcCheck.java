package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.testkit.NvrtcContract;
import java.util.List;
import java.util.stream.Stream;

final class CoreNvrtcCheck extends NvrtcContract {
  CoreNvrtcCheck() {
    super(
        CudaRows.class,
        Stream.of(
                CudaRows.sources(),
                CudaProducts.sources(),
                CudaSteps.sources(),
                CudaSampling.sources(),
                CudaFills.sources())
            .flatMap(List::stream)
            .toList());
  }
}
