package io.github.lightning4j.kvquant.policy;

import io.github.lightning4j.kvquant.policy.KvPolicy.KeyAxis;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Policies with a name.
 *
 * <table>
 * <caption>bits an element, without the tokens kept in 16 bits</caption>
 * <tr><th>name<th>bits<th>keys<th>grid<th>16 bits
 * <tr><td>rotatekv-4, -3, -2<td>b + 0.125<td>pre-RoPE, 4 heads, permuted<td>clip 1, 1, 0.8
 *     <td>top-20 activations
 * <tr><td>naive-4, -3, -2<td>b + 0.125<td>as they come<td>clip 1<td>none
 * <tr><td>kivi-4, -2<td>b + 1<td>as they come, by channel<td>clip 1<td>128 recent
 * <tr><td>quarot-4, -3, -2<td>b + 0.25<td>Hadamard per head<td>clip 0.95<td>none
 * <tr><td>kv2-centered<td>2.0625<td>centred, Hadamard per head<td>Lloyd-Max<td>top-20, first 4, 128
 *     recent
 * <tr><td>kv2-affine<td>2.125<td>centred, Hadamard per head<td>clip 0.6, zero in eighths<td>top-20,
 *     first 4, 128 recent
 * <tr><td>kv2-wush<td>2.1875<td>dense pair<td>clip at quantiles<td>top-20, first 4, 128 recent
 * </table>
 *
 * <p>Policies named after a paper follow it in transform, grouping and grid; the others' metadata
 * are as their authors store them, where that is known.
 */
public final class KvPresets {
  private static final int LONGEST = 128;
  private static final TokenPolicy PAPER_TOKENS =
      TokenPolicy.NONE.withMassiveActivations(20).withQuantizedPrefill(true);
  private static final TokenPolicy KV2_TOKENS =
      TokenPolicy.NONE.withMassiveActivations(20).withFirstTokens(4).withRecentWindow(128, 1);
  private static final Map<String, KvPolicy> BY_NAME = new LinkedHashMap<>();

  static {
    for (int bits : new int[] {4, 3, 2}) {
      add(rotateKv(bits));
      add(naive(bits));
      add(quaRot(bits));
    }
    add(kivi(4));
    add(kivi(2));
    add(centered());
    add(centeredAffine());
    add(wush());
    add(centered().withName("kv2"));
  }

  private KvPresets() {}

  private static void add(KvPolicy policy) {
    BY_NAME.put(policy.name(), policy);
  }

  /** The names of all presets. */
  public static List<String> names() {
    return List.copyOf(BY_NAME.keySet());
  }

  /**
   * The preset of a name.
   *
   * @throws IllegalArgumentException if there is none; the message lists those there are
   */
  public static KvPolicy of(String name) {
    KvPolicy policy = BY_NAME.get(name);
    if (policy == null) {
      throw new IllegalArgumentException(
          "preset: expected one of " + BY_NAME.keySet() + ", got '" + name + "'");
    }
    return policy;
  }

  /** RotateKV as its paper has it: 2 bits are clipped to 0.8, more are not; no recent window. */
  private static KvPolicy rotateKv(int bits) {
    return policy(
        "rotatekv-" + bits,
        new KvTransform.PreRopeGrouped(4, PermutationScope.LAYER),
        affine8(bits, Clip.paper(bits == 2 ? 0.8 : 1)),
        PAPER_TOKENS);
  }

  /** Round to nearest between the ends of each group, in the basis of the model. */
  private static KvPolicy naive(int bits) {
    return policy(
        "naive-" + bits,
        new KvTransform.Plain(),
        affine8(bits, Clip.NONE),
        TokenPolicy.NONE.withQuantizedPrefill(true));
  }

  private static KvPolicy quaRot(int bits) {
    return policy(
        "quarot-" + bits,
        new KvTransform.HeadHadamard(),
        KvQuantizer.affine(bits, LONGEST, Clip.paper(0.95), ScaleFormat.FP16, ZeroFormat.FLOAT),
        TokenPolicy.NONE.withQuantizedPrefill(true));
  }

  private static KvPolicy kivi(int bits) {
    KvQuantizer quantizer =
        KvQuantizer.affine(bits, 32, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT);
    return new KvPolicy(
        "kivi-" + bits,
        new KvTransform.Plain(),
        KeyAxis.CHANNEL,
        LayerFormats.all(KvFormat.both(quantizer)),
        TokenPolicy.NONE.withRecentWindow(128, 32));
  }

  /** Candidate A: what is left of a key after its mean is nearly normal once rotated. */
  private static KvPolicy centered() {
    return policy(
        "kv2-centered",
        new KvTransform.CenteredHadamard(),
        KvQuantizer.lloydMax(2, LONGEST, ScaleFormat.LOG8),
        KV2_TOKENS);
  }

  /**
   * Candidate A with an affine grid: on normal values within 2 % of Lloyd-Max, and a group that is
   * not centred costs it nothing.
   */
  private static KvPolicy centeredAffine() {
    return policy(
        "kv2-affine",
        new KvTransform.CenteredHadamard(),
        KvQuantizer.affine(2, LONGEST, Clip.paper(0.6), ScaleFormat.LOG8, ZeroFormat.FRACTIONAL),
        KV2_TOKENS);
  }

  /** Candidate B: matrices that weigh the error by what queries and the output make of it. */
  private static KvPolicy wush() {
    KvFormat format =
        new KvFormat(wushQuantizer(Clip.percentile(0.96)), wushQuantizer(Clip.percentile(0.92)));
    return new KvPolicy(
        "kv2-wush",
        new KvTransform.DensePair(),
        KeyAxis.TOKEN,
        LayerFormats.all(format),
        KV2_TOKENS);
  }

  private static KvQuantizer wushQuantizer(Clip clip) {
    return KvQuantizer.affine(2, LONGEST, clip, ScaleFormat.LOG8, ZeroFormat.FLOAT);
  }

  /** Affine with a byte for the scale and a byte for the zero. */
  private static KvQuantizer affine8(int bits, Clip clip) {
    return KvQuantizer.affine(bits, LONGEST, clip, ScaleFormat.LOG8, ZeroFormat.INTEGER);
  }

  private static KvPolicy policy(
      String name, KvTransform transform, KvQuantizer quantizer, TokenPolicy tokens) {
    return new KvPolicy(
        name, transform, KeyAxis.TOKEN, LayerFormats.all(KvFormat.both(quantizer)), tokens);
  }
}
