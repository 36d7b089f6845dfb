package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.attention.CudaLightningAttention;
import io.github.lightning4j.core.CudaGemm;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.nn.CudaRowOperators;
import io.github.lightning4j.core.nn.CudaStepOperators;
import io.github.lightning4j.kvquant.CudaCacheAttention;
import io.github.lightning4j.moe.CudaMixtureOfExperts;
import org.jspecify.annotations.Nullable;

/**
 * The operators of a GPU that a pass calls, all on one stream.
 *
 * @param stream where their work goes
 * @param gemm linear layers
 * @param rows norms, residuals, rotary embedding, embedding lookup
 * @param steps gated norms, embedding lookup of coded weights
 * @param lightning linear attention
 * @param softmax attention over a key-value cache
 * @param experts routing and the expert products
 * @param ranks who has the other experts; null where all are here
 */
record DeviceOperators(
    CudaStream stream,
    CudaGemm gemm,
    CudaRowOperators rows,
    CudaStepOperators steps,
    CudaLightningAttention lightning,
    CudaCacheAttention softmax,
    CudaMixtureOfExperts experts,
    @Nullable ExpertRanks ranks)
    implements AutoCloseable {

  /** Operators of a stream; closing them leaves it and the ranks open. */
  static DeviceOperators on(CudaStream stream, @Nullable ExpertRanks ranks) {
    return new DeviceOperators(
        stream,
        CudaGemm.open(stream),
        CudaRowOperators.on(stream),
        CudaStepOperators.on(stream),
        CudaLightningAttention.on(stream),
        CudaCacheAttention.on(stream),
        CudaMixtureOfExperts.on(stream),
        ranks);
  }

  @Override
  public void close() {
    gemm.close();
  }
}
