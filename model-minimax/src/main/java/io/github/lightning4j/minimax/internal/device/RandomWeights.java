package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.nn.CudaFill;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.moe.CudaExpertWeights;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Weights of a model that is only to be measured, made on the GPU: each matrix {@code [N, K]} is
 * uniform with variance {@code 1 / K}, so that activations keep their size and tokens choose
 * experts evenly. Embedding, head and router are BF16, all else is in the format asked for.
 */
final class RandomWeights {
  private final MiniMaxConfig config;
  private final @Nullable QuantFormat format;
  private final CudaStream stream;
  private final MemoryScope scope;
  private final CudaFill fill;
  private final WeightUpload upload;

  private RandomWeights(
      MiniMaxConfig config,
      @Nullable QuantFormat format,
      CudaStream stream,
      MemoryScope scope,
      WeightUpload upload) {
    this.config = config;
    this.format = format;
    this.stream = stream;
    this.scope = scope;
    this.fill = CudaFill.on(stream, 1);
    this.upload = upload;
  }

  /**
   * Makes all weights.
   *
   * @param format null for bf16
   * @param scope owns what is made; the caller closes it, also after a failure
   */
  static DeviceWeights of(
      MiniMaxConfig config, @Nullable QuantFormat format, CudaStream stream, MemoryScope scope) {
    try (WeightUpload upload = new WeightUpload(stream, scope)) {
      return new RandomWeights(config, format, stream, scope, upload).model();
    }
  }

  private DeviceWeights model() {
    long hidden = config.hiddenSize();
    List<DeviceWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(layer(i));
    }
    DeviceMatrix embedding = plain(config.vocabSize(), hidden);
    return new DeviceWeights(
        embedding,
        layers,
        norm(hidden),
        config.tiedEmbeddings() ? embedding : plain(config.vocabSize(), hidden),
        upload.frequencies(config));
  }

  private DeviceWeights.Layer layer(int index) {
    long hidden = config.hiddenSize();
    DeviceWeights.Attention attention =
        config.layers().get(index) == LayerKind.LIGHTNING ? lightning(index) : softmax();
    return new DeviceWeights.Layer(norm(hidden), attention, norm(hidden), moe());
  }

  private DeviceWeights.Lightning lightning(int index) {
    long hidden = config.hiddenSize();
    long width = config.attention().width();
    return new DeviceWeights.Lightning(
        matrix(3 * width, hidden),
        matrix(width, hidden),
        norm(width),
        matrix(hidden, width),
        upload.logDecay(index, config));
  }

  private DeviceWeights.Softmax softmax() {
    long hidden = config.hiddenSize();
    long width = config.attention().width();
    long kvWidth = config.attention().kvWidth();
    return new DeviceWeights.Softmax(
        matrix(width, hidden),
        matrix(kvWidth, hidden),
        matrix(kvWidth, hidden),
        matrix(hidden, width));
  }

  private DeviceWeights.Moe moe() {
    MiniMaxConfig.ExpertConfig sizes = config.experts();
    long hidden = config.hiddenSize();
    return new DeviceWeights.Moe(
        uniform(sizes.experts(), hidden),
        scope.add(
            CudaExpertWeights.random(
                stream.device(), fill, sizes.experts(), hidden, sizes.intermediateSize(), format)));
  }

  private DeviceMatrix matrix(long rows, long columns) {
    return format == null ? plain(rows, columns) : new DeviceMatrix.Coded(coded(rows, columns));
  }

  private DeviceMatrix plain(long rows, long columns) {
    return new DeviceMatrix.Plain(uniform(rows, columns));
  }

  private Tensor uniform(long rows, long columns) {
    Tensor weights = allocate(DType.BF16, rows, columns);
    fill.uniform(Math.sqrt(3.0 / columns), weights);
    return weights;
  }

  private CudaQuantizedMatrix coded(long rows, long columns) {
    long bytes = QuantizedMatrix.imageBytes(format, rows, columns);
    return CudaQuantizedMatrix.random(fill, format, rows, columns, allocate(DType.U8, bytes));
  }

  private Tensor norm(long width) {
    Tensor ones = allocate(DType.BF16, width);
    fill.constant(1, ones);
    return ones;
  }

  private Tensor allocate(DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes = Math.multiplyExact(bytes, size);
    }
    Memory memory = CudaMemory.allocate(stream.device(), bytes);
    return scope.add(Tensor.wrap(memory, 0, type, shape));
  }
}
