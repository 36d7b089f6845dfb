package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.Tensor;

/** The attention of a layer, of either kind. */
interface DeviceAttention {
  /** Looks at what the layer gets, {@code [R, H]}, before its norm. */
  void see(DeviceStep step, Tensor hidden);

  /**
   * Puts the layer's work on the stream.
   *
   * @param normed {@code [R, H]}
   * @param sum how the output projection joins the residual
   * @param out {@code [R, H]}, may be the residual
   */
  void forward(DeviceStep step, Tensor normed, Sum sum, Tensor out);

  /** Moves states on by the first of the tokens drafted last, from where they were before. */
  void commit(DeviceOperators operators, SequencePool memory, DeviceDrafts drafts, int accepted);
}
