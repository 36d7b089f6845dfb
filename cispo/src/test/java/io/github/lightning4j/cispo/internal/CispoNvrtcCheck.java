package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.testkit.NvrtcContract;
import java.util.List;
import java.util.stream.Stream;

final class CispoNvrtcCheck extends NvrtcContract {
  CispoNvrtcCheck() {
    super(CudaHead.class, sources());
  }

  private static List<KernelSource> sources() {
    return Stream.of(CudaHead.sources(), CudaHeadBackward.sources(), CudaLoss.sources())
        .flatMap(List::stream)
        .toList();
  }
}
