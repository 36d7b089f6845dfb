package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.testkit.NvrtcContract;
import java.util.List;
import java.util.stream.Stream;

final class MoeNvrtcCheck extends NvrtcContract {
  MoeNvrtcCheck() {
    super(CudaExperts.class, sources());
  }

  private static List<KernelSource> sources() {
    return Stream.of(
            CudaExperts.sources(),
            CudaExpertsBackward.sources(),
            CudaRoutingBackward.sources(),
            CudaAux.sources())
        .flatMap(List::stream)
        .toList();
  }
}
