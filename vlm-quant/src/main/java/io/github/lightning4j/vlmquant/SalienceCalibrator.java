package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.LayerCalibration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/**
 * Measures which layers of a model are text-salient, from the attention of multimodal prompts.
 *
 * <pre>
 * salience = mean_(t, h) (mass on text / text tokens) / mean_(t, h) (mass on visual / visual tokens)
 *
 * mass of query t, head h on a token s:  softmax over all s &lt;= t of scale * (q[t, h] . k[s, g])
 * counted are  {@value #FIRST} &lt;= s &lt;= t - recentWindow,  and queries that see both kinds there
 * </pre>
 *
 * <p>The first tokens draw attention whatever they are, the recent ones are kept in any case. The
 * means are taken before their ratio, so that single queries that look at no picture do not decide.
 * All sums in double, in a fixed order. At least 32 prompts are recommended. Cost: {@code 2
 * headDim} operations a query head and visible key.
 *
 * <p>Source: the observation is AKVQ-VL's, the recipe ours.
 */
public final class SalienceCalibrator {
  /** Positions at the start that do not count. */
  public static final int FIRST = 5;

  private final int recentWindow;
  private final double[] text;
  private final double[] visual;

  /**
   * For a model.
   *
   * @param layers layers that have a cache
   * @param recentWindow newest tokens that do not count, those of the policy
   * @throws IllegalArgumentException if there is no layer, or the window is negative
   */
  public SalienceCalibrator(int layers, int recentWindow) {
    checkArgument(layers >= 1, "layers: expected >= 1, got %s", layers);
    checkArgument(recentWindow >= 0, "recentWindow: expected >= 0, got %s", recentWindow);
    this.recentWindow = recentWindow;
    this.text = new double[layers];
    this.visual = new double[layers];
  }

  /**
   * A whole prompt as one layer of the unquantized model sees it; padding is left out.
   *
   * @param layer by index among the layers that have a cache
   * @param q queries {@code [T, heads, headDim]}, F32, after the rotary embedding; dense last
   *     dimension
   * @param k keys {@code [T, kvHeads, headDim]}, likewise
   * @param scale factor of the scores
   * @param classes {@code [T]}: TEXT or VISUAL
   * @throws IllegalArgumentException if layer, types, shapes, classes or scale do not fit, or a
   *     score is not finite
   */
  public void add(int layer, Tensor q, Tensor k, float scale, TokenClass[] classes) {
    checkArgument(
        layer >= 0 && layer < text.length,
        "layer: expected 0 <= layer < %s, got %s",
        text.length,
        layer);
    AttentionProbe probe = new AttentionProbe(q, k, scale);
    TokenClasses.check(classes, q.size(0));
    double[] onText = new double[probe.rows()];
    double[] onVisual = new double[onText.length];
    Threads.forRanges(
        onText.length,
        1,
        (from, to) -> {
          for (int row = (int) from; row < to; row++) {
            measure(probe, classes, row, onText, onVisual);
          }
        });
    double sum = Arrays.stream(onText).sum() + Arrays.stream(onVisual).sum();
    checkArgument(Double.isFinite(sum), "q: expected finite scores with k, got one that is not");
    for (int row = 0; row < onText.length; row++) {
      text[layer] += onText[row];
      visual[layer] += onVisual[row];
    }
  }

  /** Mass of a query and head on a text and on a visual token, if it sees both; else zeros. */
  private void measure(
      AttentionProbe probe, TokenClass[] classes, int row, double[] onText, double[] onVisual) {
    int t = row / probe.heads();
    int end = t - recentWindow + 1;
    long texts = 0;
    for (int s = FIRST; s < end; s++) {
      texts += classes[s] == TokenClass.TEXT ? 1 : 0;
    }
    long visuals = Math.max(0, end - FIRST) - texts;
    if (texts == 0 || visuals == 0) {
      return;
    }
    double[] weights = probe.weights(t, row % probe.heads());
    double textMass = 0;
    double visualMass = 0;
    for (int s = FIRST; s < end; s++) {
      textMass += classes[s] == TokenClass.TEXT ? weights[s] : 0;
      visualMass += classes[s] == TokenClass.TEXT ? 0 : weights[s];
    }
    onText[row] = textMass / texts;
    onVisual[row] = visualMass / visuals;
  }

  /** Attention on a text token over that on a visual one; empty where no query saw both. */
  public OptionalDouble salience(int layer) {
    checkArgument(
        layer >= 0 && layer < text.length,
        "layer: expected 0 <= layer < %s, got %s",
        text.length,
        layer);
    return visual[layer] > 0
        ? OptionalDouble.of(text[layer] / visual[layer])
        : OptionalDouble.empty();
  }

  /**
   * A calibration with what was measured, for {@code CalibrationFile}.
   *
   * @throws IllegalArgumentException if it has another number of layers
   */
  public Calibration addTo(Calibration calibration) {
    checkArgument(
        calibration.layers().size() == text.length,
        "calibration: expected %s layers, got %s",
        text.length,
        calibration.layers().size());
    List<LayerCalibration> layers = new ArrayList<>();
    for (int i = 0; i < text.length; i++) {
      layers.add(calibration.layers().get(i).withTextSalience(salience(i)));
    }
    return new Calibration(calibration.source(), layers);
  }

  /**
   * The patterns of a model's layers, as calibration found them.
   *
   * @param threshold {@link LayerPattern#THRESHOLD} as a rule
   * @throws IllegalArgumentException if a layer was not measured
   */
  public static List<LayerPattern> patterns(Calibration calibration, double threshold) {
    List<LayerPattern> patterns = new ArrayList<>();
    for (LayerCalibration layer : calibration.layers()) {
      checkArgument(
          layer.textSalience().isPresent(),
          "calibration: expected a text salience of layer %s (calibrate with multimodal prompts)",
          patterns.size());
      patterns.add(LayerPattern.of(layer.textSalience().getAsDouble(), threshold));
    }
    return patterns;
  }
}
