package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.Dialect;

/** What layers know besides their weights, wherever they run. */
public final class LayerConstants {
  private LayerConstants() {}

  /**
   * The decay of a lightning layer: slopes shrink with depth; the dialects differ in both factors.
   */
  public static Decay decay(int layer, MiniMaxConfig config) {
    int heads = config.attention().heads();
    int layers = config.layers().size();
    boolean original = config.dialect() == Dialect.ORIGINAL;
    double[] slopes = original ? Slopes.alibi(heads) : Slopes.geometric(heads);
    double factor =
        original
            ? Slopes.layerFactor(layer, layers)
            : Slopes.layerFactorTransformers(layer, layers);
    for (int head = 0; head < heads; head++) {
      slopes[head] *= factor;
    }
    return Decay.ofSlopes(slopes);
  }

  /**
   * Rotary frequencies {@code [R/2]}: {@code theta^(-2j/R)}, in fp32 as the references have it; to
   * be closed by the caller.
   */
  public static Tensor inverseFrequencies(MiniMaxConfig.AttentionConfig sizes) {
    int half = sizes.rotaryDim() / 2;
    Tensor frequencies = Tensor.allocate(DType.F32, half);
    Elements to = frequencies.accessor();
    for (int j = 0; j < half; j++) {
      to.set(j, Math.pow(sizes.ropeTheta(), -2.0 * j / sizes.rotaryDim()));
    }
    return frequencies;
  }
}
