package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.vlmquant.SalienceCalibrator;
import io.github.lightning4j.vlmquant.TokenClass;

/** Hands what the pass over a prompt with pictures shows to the calibrator of salience. */
final class SalienceFeeder implements ForwardObserver {
  private final SalienceCalibrator salience;
  private final ForwardObserver other;
  private final TokenClass[] classes;
  private final int[] cacheOfLayer;
  private final float scale;

  /**
   * For one prompt.
   *
   * @param other sees the same pass
   */
  SalienceFeeder(
      MiniMaxConfig config,
      SalienceCalibrator salience,
      ForwardObserver other,
      ImagePrompt prompt) {
    this.salience = salience;
    this.other = other;
    this.classes = prompt.classes();
    this.cacheOfLayer = CalibrationFeeder.cacheOfLayer(config);
    this.scale = (float) (1 / Math.sqrt(config.attention().headDim()));
  }

  @Override
  public void projected(int layer, Tensor key, Tensor value) {
    other.projected(layer, key, value);
  }

  @Override
  public void rotated(int layer, Tensor query, Tensor key) {
    other.rotated(layer, query, key);
    salience.add(cacheOfLayer[layer], query, key, scale, classes);
  }
}
