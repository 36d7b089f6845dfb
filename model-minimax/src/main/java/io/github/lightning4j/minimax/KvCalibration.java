package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.Calibrator;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.CachePlan;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.WeightMatrix;
import java.util.Arrays;

/**
 * Runs a model over a training text and learns what quantized caches must know of its keys and
 * values: mean and order of the keys' channels, dense pairs of keys and values. The file it goes to
 * ({@link io.github.lightning4j.kvquant.calibration.CalibrationFile}) serves these weights alone.
 */
public final class KvCalibration {
  /** Heads that a rotation of RotateKV mixes, at most. */
  private static final int ROTATED_HEADS = 4;

  private KvCalibration() {}

  /**
   * Reads windows that do not overlap, with caches of F32.
   *
   * @param ids of a text that nothing is measured on
   * @param window tokens a window, at most the model's context
   * @param corpus names the text
   * @param progress told how many tokens are read
   * @throws IllegalArgumentException if there are no tokens, the model has no softmax layer, its
   *     heads have no Hadamard transform, or a key is not finite
   */
  public static Calibration of(
      MiniMaxModel model, int[] ids, int window, String corpus, ProgressListener progress) {
    MiniMaxConfig config = model.config();
    int caches = CachePlan.count(config);
    checkArgument(caches > 0, "model: expected a softmax layer, got none: nothing is cached");
    checkArgument(ids.length > 0, "ids: expected at least one token");
    checkArgument(window >= 1, "window: expected >= 1, got %s", window);
    Calibrator calibrator =
        new Calibrator(caches, basis(config.attention()), PermutationScope.LAYER);
    Feeder feeder = new Feeder(config, calibrator);
    feeder.tellProjections(model.weights());
    long rows = Math.min(window, ids.length);
    try (Tensor logits = Tensor.allocate(DType.F32, rows, config.vocabSize())) {
      for (int from = 0; from < ids.length; from += window) {
        int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + window));
        try (Session session = model.newSession(KvCacheFormat.F32)) {
          session.forward(part, feeder, logits.narrow(0, 0, part.length));
        }
        progress.progress(from + (long) part.length, ids.length);
      }
    }
    return calibrator.finish(model.fingerprint(), corpus, "train");
  }

  private static GroupedBasis basis(MiniMaxConfig.AttentionConfig sizes) {
    return GroupedBasis.of(sizes.kvHeads(), sizes.headDim(), ROTATED_HEADS);
  }

  /** Hands what a pass shows to the calibrator. */
  private static final class Feeder implements ForwardObserver {
    private final Calibrator calibrator;
    private final int[] cacheOfLayer;

    Feeder(MiniMaxConfig config, Calibrator calibrator) {
      this.calibrator = calibrator;
      this.cacheOfLayer = new int[config.layers().size()];
      int caches = 0;
      for (int i = 0; i < cacheOfLayer.length; i++) {
        boolean cached = config.layers().get(i) != LayerKind.LIGHTNING;
        cacheOfLayer[i] = cached ? caches++ : -1;
      }
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
}
