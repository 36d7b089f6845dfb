package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * The published rates at which heads forget: {@code slope(layer, head) = base(head) *
 * factor(layer)}, with {@code lambda = e^-slope}.
 *
 * <p>The original code of MiniMax-Text-01 and vLLM use {@link #alibi} and {@link #layerFactor}; the
 * transformers port uses {@link #geometric} and {@link #layerFactorTransformers}. The bases agree
 * for powers of two (the released models have 64 heads) and differ otherwise; the factors differ by
 * at most 1e-5. Layers count all layers of the model, those with softmax attention included.
 */
public final class Slopes {
  private Slopes() {}

  /**
   * The rule of ALiBi (Press et al., 2021): {@code 2^(-8(j+1)/heads)} for a power of two; otherwise
   * the slopes of the largest power of two p below, then every second one of 2p.
   *
   * @throws IllegalArgumentException if {@code heads < 1}
   */
  public static double[] alibi(int heads) {
    checkArgument(heads >= 1, "heads: expected >= 1, got %s", heads);
    int power = Integer.highestOneBit(heads);
    double[] slopes = Arrays.copyOf(geometric(power), heads);
    for (int j = power; j < heads; j++) {
      slopes[j] = geometric(2 * (j - power), 2 * power);
    }
    return slopes;
  }

  /**
   * {@code 2^(-8(j+1)/heads)} for any number of heads.
   *
   * @throws IllegalArgumentException if {@code heads < 1}
   */
  public static double[] geometric(int heads) {
    checkArgument(heads >= 1, "heads: expected >= 1, got %s", heads);
    double[] slopes = new double[heads];
    for (int j = 0; j < heads; j++) {
      slopes[j] = geometric(j, heads);
    }
    return slopes;
  }

  private static double geometric(int head, int heads) {
    return Math.pow(2, -8.0 * (head + 1) / heads);
  }

  /**
   * {@code 1 - layer / (layers - 1) + 1e-5}, or {@code 1 + 1e-5} for a single layer.
   *
   * @throws IllegalArgumentException unless {@code 0 <= layer < layers}
   */
  public static double layerFactor(int layer, int layers) {
    checkLayer(layer, layers);
    return layers == 1 ? 1 + 1e-5 : 1 - (double) layer / (layers - 1) + 1e-5;
  }

  /**
   * {@code 1 - layer / (layers - 1 + 1e-5) + 1e-5}.
   *
   * @throws IllegalArgumentException unless {@code 0 <= layer < layers}
   */
  public static double layerFactorTransformers(int layer, int layers) {
    checkLayer(layer, layers);
    return 1 - layer / (layers - 1 + 1e-5) + 1e-5;
  }

  private static void checkLayer(int layer, int layers) {
    checkArgument(
        layer >= 0 && layer < layers, "layer: expected 0 <= layer < %s, got %s", layers, layer);
  }
}
