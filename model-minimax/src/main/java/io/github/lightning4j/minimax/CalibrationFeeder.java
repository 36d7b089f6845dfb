package io.github.lightning4j.minimax;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.calibration.Calibrator;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.WeightMatrix;

/** Hands what a pass shows to the calibrator. */
final class CalibrationFeeder implements ForwardObserver {
  private final Calibrator calibrator;
  private final int[] cacheOfLayer;

  CalibrationFeeder(MiniMaxConfig config, Calibrator calibrator) {
    this.calibrator = calibrator;
    this.cacheOfLayer = cacheOfLayer(config);
  }

  /** The index of each layer among those that have a cache; -1 for those that have none. */
  static int[] cacheOfLayer(MiniMaxConfig config) {
    int[] cacheOfLayer = new int[config.layers().size()];
    int caches = 0;
    for (int i = 0; i < cacheOfLayer.length; i++) {
      boolean cached = config.layers().get(i) != LayerKind.LIGHTNING;
      cacheOfLayer[i] = cached ? caches++ : -1;
    }
    return cacheOfLayer;
  }

  void tellProjections(ModelWeights weights) {
    for (int i = 0; i < cacheOfLayer.length; i++) {
      if (weights.layers().get(i).attention() instanceof ModelWeights.Softmax softmax) {
        tellProjection(cacheOfLayer[i], softmax.out());
      }
    }
  }

  private void tellProjection(int cache, WeightMatrix out) {
    if (out instanceof WeightMatrix.Plain plain) {
      calibrator.outputProjection(cache, plain.tensor());
    } else if (out instanceof WeightMatrix.Quantized quantized) {
      try (Tensor plain =
          Tensor.allocate(DType.F32, quantized.matrix().rows(), quantized.matrix().columns())) {
        quantized.matrix().dequantize(plain);
        calibrator.outputProjection(cache, plain);
      }
    }
  }

  @Override
  public void projected(int layer, Tensor key, Tensor value) {
    calibrator.addKeys(cacheOfLayer[layer], key);
    calibrator.addValues(cacheOfLayer[layer], value);
  }

  @Override
  public void rotated(int layer, Tensor query, Tensor key) {
    calibrator.addScores(cacheOfLayer[layer], query, key);
  }
}
