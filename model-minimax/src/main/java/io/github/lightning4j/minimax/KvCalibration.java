package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.Calibrator;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import io.github.lightning4j.minimax.internal.CachePlan;
import io.github.lightning4j.vlmquant.SalienceCalibrator;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/**
 * Runs a model over a training text and learns what quantized caches must know of its keys and
 * values: mean and order of the keys' channels, dense pairs of keys and values. From prompts with
 * pictures also where each softmax layer looks: the text salience that makes it text-salient or
 * pivot-salient ({@link io.github.lightning4j.vlmquant.LayerPattern}). The file it goes to ({@link
 * io.github.lightning4j.kvquant.calibration.CalibrationFile}) serves these weights alone.
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
    checkArgument(ids.length > 0, "ids: expected at least one token");
    checkArgument(window >= 1, "window: expected >= 1, got %s", window);
    Calibrator calibrator = calibrator(config);
    CalibrationFeeder feeder = new CalibrationFeeder(config, calibrator);
    feeder.tellProjections(model.weights());
    for (int from = 0; from < ids.length; from += window) {
      int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + window));
      try (Session session = model.newSession(KvCacheFormat.F32)) {
        session.observe(part, feeder);
      }
      progress.progress(from + (long) part.length, ids.length);
    }
    return calibrator.finish(model.fingerprint(), corpus, "train");
  }

  /**
   * Learns all of it from prompts with pictures, with caches of F32; 32 or more are recommended.
   *
   * @param prompts of this model that nothing is measured on; each is asked for when it is read,
   *     and closed behind that, so that one is open at a time
   * @param recentWindow newest tokens that do not count for the salience, those of the policy
   * @param corpus names the prompts
   * @param progress told how many prompts are read
   * @throws IllegalArgumentException if there is no prompt, none is long enough to tell a layer's
   *     salience, or as for a text
   */
  public static Calibration of(
      MiniMaxModel model,
      List<Supplier<ImagePrompt>> prompts,
      int recentWindow,
      String corpus,
      ProgressListener progress) {
    Calibrator calibrator = calibrator(model.config());
    CalibrationFeeder feeder = new CalibrationFeeder(model.config(), calibrator);
    feeder.tellProjections(model.weights());
    SalienceCalibrator salience = salience(model, prompts, recentWindow, feeder, progress);
    return told(salience, calibrator.finish(model.fingerprint(), corpus, "train"));
  }

  /** A calibration made from a text, with the salience that prompts with pictures tell. */
  public static Calibration withSalience(
      Calibration calibration,
      MiniMaxModel model,
      List<Supplier<ImagePrompt>> prompts,
      int recentWindow,
      ProgressListener progress) {
    return told(
        salience(model, prompts, recentWindow, ForwardObserver.NONE, progress), calibration);
  }

  private static SalienceCalibrator salience(
      MiniMaxModel model,
      List<Supplier<ImagePrompt>> prompts,
      int recentWindow,
      ForwardObserver other,
      ProgressListener progress) {
    checkArgument(!prompts.isEmpty(), "prompts: expected at least one");
    MiniMaxConfig config = model.config();
    SalienceCalibrator salience = new SalienceCalibrator(CachePlan.count(config), recentWindow);
    int done = 0;
    for (Supplier<ImagePrompt> next : prompts) {
      try (ImagePrompt prompt = next.get();
          Session session = model.newSession(KvCacheFormat.F32)) {
        session.observe(prompt, new SalienceFeeder(config, salience, other, prompt));
      }
      progress.progress(++done, prompts.size());
    }
    return salience;
  }

  private static Calibration told(SalienceCalibrator salience, Calibration calibration) {
    Calibration all = salience.addTo(calibration);
    checkArgument(
        all.layers().stream().allMatch(layer -> layer.textSalience().isPresent()),
        "prompts: expected one with a query that sees text and a picture, behind the first %s"
            + " tokens and before the recent ones; put text on both sides of the picture, or count"
            + " fewer tokens as recent",
        SalienceCalibrator.FIRST);
    return all;
  }

  private static Calibrator calibrator(MiniMaxConfig config) {
    int caches = CachePlan.count(config);
    checkArgument(caches > 0, "model: expected a softmax layer, got none: nothing is cached");
    return new Calibrator(caches, basis(config.attention()), PermutationScope.LAYER);
  }

  private static GroupedBasis basis(MiniMaxConfig.AttentionConfig sizes) {
    return GroupedBasis.of(sizes.kvHeads(), sizes.headDim(), ROTATED_HEADS);
  }
}
