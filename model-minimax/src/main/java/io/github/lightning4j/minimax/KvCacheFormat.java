package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.KvPolicy.KeyAxis;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.policy.LayerFormats;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * How a session holds the keys and values of softmax layers.
 *
 * <p>Tokens that a policy keeps in 16 bits, and all tokens where there is none, are held as {@code
 * exact} says. A policy that needs a calibration and has none still works where it can: keys are
 * rotated but not put in order ({@code rotatekv}), or no mean is taken off them ({@code
 * kv2-centered}); a dense pair ({@code kv2-wush}) cannot do without.
 *
 * <p>Keys grouped by channel ({@code kivi}) are simulated: rounded to what their codes say and held
 * in {@code exact}, at the memory and more than the time of that. They tell the quality of such a
 * cache, nothing else.
 *
 * <p>What a policy keeps: the sinks of a session are found in its first prompt, where prompts
 * attend to themselves as quantized ({@link TokenPolicy#quantizedPrefill}) in the tokens of it that
 * are read first together: {@link LoadOptions#prefillChunk}, or its share of a step of a queue.
 *
 * <p>Caches by class ({@code akvq-2}, {@code akvq-2-lm}, {@code akvq-2-text4}) know which tokens
 * are pictures from the {@link ImagePrompt}; all others are text. A calibration tells which layers
 * look at text ({@link io.github.lightning4j.vlmquant.LayerPattern}); without one, none does. Each
 * prompt has pivots of its own. Sessions fork, and are kept by prefix caches, but cannot be written
 * as snapshots.
 *
 * @param exact F32, BF16 or F16; of a policy on a GPU BF16, whatever it says
 * @param policy what is quantized how; empty for nothing, or where classes tell
 * @param classes what is quantized how by class of tokens: text, visual, pivot, recent; empty where
 *     all are of one kind
 * @param calibration the file that {@link KvCalibration} made; empty for none
 */
public record KvCacheFormat(
    DType exact,
    Optional<KvPolicy> policy,
    Optional<VlmPolicy> classes,
    Optional<Path> calibration) {
  private static final Set<DType> EXACT = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  /** Everything in 32 bits. */
  public static final KvCacheFormat F32 = exact(DType.F32);

  private static final KvPolicy INT8 =
      new KvPolicy(
          "int8",
          new KvTransform.Plain(),
          KeyAxis.TOKEN,
          LayerFormats.all(
              KvFormat.both(
                  KvQuantizer.affine(8, 128, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT))),
          TokenPolicy.NONE.withQuantizedPrefill(true));

  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if the type is another, there is a policy and classes too, or
   *     a calibration is given that nothing needs
   */
  public KvCacheFormat {
    checkArgument(EXACT.contains(exact), "cacheType: expected one of %s, got %s", EXACT, exact);
    checkArgument(
        policy.isEmpty() || classes.isEmpty(),
        "classes: expected none beside a policy, or no policy");
    checkArgument(
        calibration.isEmpty() || usesCalibration(policy, classes),
        "calibration: %s needs none",
        name(exact, policy, classes));
  }

  /** Nothing quantized. */
  public static KvCacheFormat exact(DType type) {
    return new KvCacheFormat(type, Optional.empty(), Optional.empty(), Optional.empty());
  }

  /** A policy; what it does not quantize is F16. */
  public static KvCacheFormat of(KvPolicy policy) {
    return new KvCacheFormat(DType.F16, Optional.of(policy), Optional.empty(), Optional.empty());
  }

  /** Bits by class of tokens; what is not quantized is F16. */
  public static KvCacheFormat of(VlmPolicy classes) {
    return new KvCacheFormat(DType.F16, Optional.empty(), Optional.of(classes), Optional.empty());
  }

  /**
   * The format of a name.
   *
   * @throws IllegalArgumentException if there is none; the message lists those there are
   */
  public static KvCacheFormat of(String name) {
    checkArgument(
        names().contains(name), "cache format: expected one of %s, got '%s'", names(), name);
    return switch (name) {
      case "f32", "bf16", "f16" -> exact(DType.valueOf(name.toUpperCase(Locale.ROOT)));
      case "int8" -> of(INT8);
      default ->
          VlmPolicy.names().contains(name) ? of(VlmPolicy.preset(name)) : of(KvPresets.of(name));
    };
  }

  /** The names: f32, bf16, f16, int8, and those of all presets. */
  public static List<String> names() {
    List<String> names = new ArrayList<>(List.of("f32", "bf16", "f16", "int8"));
    names.addAll(KvPresets.names());
    names.addAll(VlmPolicy.names());
    return names;
  }

  /** The same with a calibration file. */
  public KvCacheFormat withCalibration(Path file) {
    return new KvCacheFormat(exact, policy, classes, Optional.of(file));
  }

  /** The same with other tokens kept; nothing changes where no policy says so. */
  public KvCacheFormat withTokens(TokenPolicy tokens) {
    return new KvCacheFormat(
        exact, policy.map(some -> some.withTokens(tokens)), classes, calibration);
  }

  /** What it is called. */
  public String name() {
    return name(exact, policy, classes);
  }

  private static String name(DType exact, Optional<KvPolicy> policy, Optional<VlmPolicy> classes) {
    return policy
        .map(KvPolicy::name)
        .or(() -> classes.map(VlmPolicy::name))
        .orElse(exact.name().toLowerCase(Locale.ROOT));
  }

  /** Whether quantized tokens lie in pages of fewer bits, and are not merely rounded. */
  public boolean isPacked() {
    return policy.map(some -> some.keyAxis() == KeyAxis.TOKEN).orElse(classes.isPresent());
  }

  /** Whether a calibration makes a difference. */
  public boolean usesCalibration() {
    return usesCalibration(policy, classes);
  }

  private static boolean usesCalibration(Optional<KvPolicy> policy, Optional<VlmPolicy> classes) {
    return policy.map(KvCacheFormat::isCalibrated).orElse(classes.isPresent());
  }

  private static boolean isCalibrated(KvPolicy policy) {
    return policy.transform() instanceof KvTransform.PreRopeGrouped
        || policy.transform() instanceof KvTransform.CenteredHadamard
        || policy.transform() instanceof KvTransform.DensePair;
  }
}
