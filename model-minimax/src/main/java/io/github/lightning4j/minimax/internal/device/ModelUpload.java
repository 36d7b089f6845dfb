package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.moe.CudaExpertWeights;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import java.util.ArrayList;
import java.util.List;

/** Copies the weights of a model to a GPU, layer by layer. */
final class ModelUpload {
  private final MiniMaxConfig config;
  private final CudaStream stream;
  private final MemoryScope scope;
  private final WeightUpload upload;

  private ModelUpload(
      MiniMaxConfig config, CudaStream stream, MemoryScope scope, WeightUpload upload) {
    this.config = config;
    this.stream = stream;
    this.scope = scope;
    this.upload = upload;
  }

  /**
   * Copies all weights and waits until they are there.
   *
   * @param scope owns what is made; the caller closes it, also after a failure
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if they do not fit
   */
  static DeviceWeights copy(
      MiniMaxConfig config, ModelWeights weights, CudaStream stream, MemoryScope scope) {
    try (WeightUpload upload = new WeightUpload(stream, scope)) {
      return new ModelUpload(config, stream, scope, upload).model(weights);
    }
  }

  private DeviceWeights model(ModelWeights weights) {
    DeviceMatrix embedding = upload.matrix(weights.embedding());
    List<DeviceWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < weights.layers().size(); i++) {
      layers.add(layer(i, weights.layers().get(i)));
    }
    DeviceMatrix head =
        weights.head() == weights.embedding() ? embedding : upload.matrix(weights.head());
    return new DeviceWeights(
        embedding,
        layers,
        upload.tensor(weights.finalNorm(), DType.F32),
        head,
        upload.frequencies(config));
  }

  private DeviceWeights.Layer layer(int index, ModelWeights.Layer layer) {
    return new DeviceWeights.Layer(
        upload.tensor(layer.inputNorm(), DType.F32),
        attention(index, layer.attention()),
        upload.tensor(layer.postNorm(), DType.F32),
        new DeviceWeights.Moe(
            upload.tensor(layer.moe().router(), DType.F32), experts(layer.moe().experts())));
  }

  private DeviceWeights.Attention attention(int index, ModelWeights.Attention attention) {
    if (attention instanceof ModelWeights.Softmax softmax) {
      return new DeviceWeights.Softmax(
          upload.matrix(softmax.q()),
          upload.matrix(softmax.k()),
          upload.matrix(softmax.v()),
          upload.matrix(softmax.out()));
    }
    ModelWeights.Lightning lightning = (ModelWeights.Lightning) attention;
    return new DeviceWeights.Lightning(
        upload.matrix(lightning.qkv()),
        upload.matrix(lightning.gate()),
        upload.tensor(lightning.norm(), DType.F32),
        upload.matrix(lightning.out()),
        upload.logDecay(index, config));
  }

  private CudaExpertWeights experts(Experts experts) {
    if (experts instanceof ExpertWeights plain && plain.dtype() != DType.BF16) {
      try (MemoryScope rounded = new MemoryScope()) {
        Experts inBf16 =
            new ExpertWeights(
                rounded(plain.gate(), rounded),
                rounded(plain.up(), rounded),
                rounded(plain.down(), rounded));
        return scope.add(CudaExpertWeights.of(stream, inBf16));
      }
    }
    return scope.add(CudaExpertWeights.of(stream, experts));
  }

  private static List<Tensor> rounded(List<Tensor> matrices, MemoryScope to) {
    List<Tensor> all = new ArrayList<>();
    for (Tensor matrix : matrices) {
      Tensor copy = to.allocate(DType.BF16, matrix.shape());
      copy.copyFrom(matrix);
      all.add(copy);
    }
    return all;
  }
}
