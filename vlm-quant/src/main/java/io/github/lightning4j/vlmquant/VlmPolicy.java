package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * How many bits each class of tokens gets in layers of each pattern.
 *
 * <table>
 * <caption>Presets: bits of recent, pivot, text and visual tokens</caption>
 * <tr><th>name</th><th>text-salient layers</th><th>pivot-salient layers</th></tr>
 * <tr><td>{@code akvq-2}</td><td>16, none, 4, 2</td><td>16, 16, 2, 2</td></tr>
 * <tr><td>{@code akvq-2-text4}</td><td>16, none, 4, 2</td><td>16, 16, 4, 2</td></tr>
 * <tr><td>{@code akvq-2-lm}</td><td>16, none, 4, 2</td><td>16, 16, 2, 2</td></tr>
 * </table>
 *
 * <p>{@code akvq-2} is the table of AKVQ-VL; {@code akvq-2-text4} keeps text at 4 bits in all
 * layers, for models whose layers were not measured. {@code akvq-2-lm} is akvq-2 with codes of 2
 * bits on a Lloyd-Max grid, as rotated heads are nearly normal: it is not the paper's, and takes no
 * zero points. All have 128 recent tokens and 15 pivots. Elsewhere codes of 2 bits are clipped to
 * 0.8 of their group's range; others are not. The paper does not say how it stores scales and zero
 * points: here a byte each for 128 channels.
 *
 * @param name what the policy is called in reports
 * @param textSalient bits in text-salient layers, which have no pivots
 * @param pivotSalient bits in pivot-salient layers
 * @param recentWindow so many newest tokens are recent; 0 quantizes each at once
 * @param pivots the most pivots of a prompt
 * @param twoBits the format of elements that take 2 bits
 */
public record VlmPolicy(
    String name,
    BitBudget textSalient,
    BitBudget pivotSalient,
    int recentWindow,
    int pivots,
    KvQuantizer twoBits) {
  /** Channels of a group. */
  public static final int GROUP = 128;

  private static final BitBudget TWO = BitBudget.preset("akvq-2");
  private static final BitBudget TEXT_FOUR = BitBudget.preset("akvq-2-text4");
  private static final Map<String, VlmPolicy> PRESETS =
      new TreeMap<>(
          Map.of(
              "akvq-2", new VlmPolicy("akvq-2", TEXT_FOUR, TWO, 128, 15),
              "akvq-2-text4", new VlmPolicy("akvq-2-text4", TEXT_FOUR, TEXT_FOUR, 128, 15),
              "akvq-2-lm",
                  new VlmPolicy("akvq-2-lm", TEXT_FOUR, TWO, 128, 15)
                      .withTwoBits(KvQuantizer.lloydMax(2, GROUP, ScaleFormat.LOG8))));

  /** With the paper's 2 bits: clipped to 0.8. */
  public VlmPolicy(
      String name, BitBudget textSalient, BitBudget pivotSalient, int recentWindow, int pivots) {
    this(name, textSalient, pivotSalient, recentWindow, pivots, affine(2, Clip.paper(0.8)));
  }

  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if the name is blank, a number negative, recent tokens have
   *     other than 16 bits (they are what is not quantized yet), or the format of 2 bits has others
   */
  public VlmPolicy {
    checkArgument(!name.isBlank(), "name: expected one, got a blank");
    checkArgument(
        textSalient.recent() == 16 && pivotSalient.recent() == 16,
        "recent: expected 16 bits in all layers, got %s and %s",
        textSalient.recent(),
        pivotSalient.recent());
    checkArgument(recentWindow >= 0, "recentWindow: expected >= 0, got %s", recentWindow);
    checkArgument(pivots >= 0, "pivots: expected >= 0, got %s", pivots);
    checkArgument(
        twoBits.bits() == 2, "twoBits: expected a format of 2 bits, got %s", twoBits.bits());
  }

  /** The names of all presets. */
  public static List<String> names() {
    return List.copyOf(PRESETS.keySet());
  }

  /**
   * The preset of a name.
   *
   * @throws IllegalArgumentException if there is none; the message lists those there are
   */
  public static VlmPolicy preset(String name) {
    VlmPolicy policy = PRESETS.get(name);
    if (policy == null) {
      throw new IllegalArgumentException(
          "preset: expected one of " + PRESETS.keySet() + ", got '" + name + "'");
    }
    return policy;
  }

  /** The bits of the classes in layers of a pattern. */
  public BitBudget budget(LayerPattern pattern) {
    return pattern == LayerPattern.TEXT_SALIENT ? textSalient : pivotSalient;
  }

  /** The most pivots that a prompt has in layers of a pattern. */
  public int pivots(LayerPattern pattern) {
    return pattern == LayerPattern.TEXT_SALIENT ? 0 : pivots;
  }

  /** The same with another number of recent tokens. */
  public VlmPolicy withRecentWindow(int tokens) {
    return new VlmPolicy(name, textSalient, pivotSalient, tokens, pivots, twoBits);
  }

  /** The same with another format of 2 bits. */
  public VlmPolicy withTwoBits(KvQuantizer format) {
    return new VlmPolicy(name, textSalient, pivotSalient, recentWindow, pivots, format);
  }

  /** The format of elements that take so many bits, 2, 3, 4 or 8. */
  KvQuantizer quantizer(int bits) {
    return bits == 2 ? twoBits : affine(bits, Clip.NONE);
  }

  private static KvQuantizer affine(int bits, Clip clip) {
    return KvQuantizer.affine(bits, GROUP, clip, ScaleFormat.LOG8, ZeroFormat.INTEGER);
  }
}
