package io.github.lightning4j.kvquant.policy;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.transform.KvTransform;

/**
 * All that a quantized cache must know of a model's layers and tokens. See {@link KvPresets} for
 * those with a name.
 *
 * @param name what the policy is called in reports
 * @param transform the basis in which keys and values are quantized
 * @param keyAxis along what the groups of keys lie; values always lie along channels
 * @param layers the formats of the layers
 * @param tokens the tokens that stay in 16 bits
 */
public record KvPolicy(
    String name, KvTransform transform, KeyAxis keyAxis, LayerFormats layers, TokenPolicy tokens) {
  /** Along what a group of keys lies. */
  public enum KeyAxis {
    /** Channels of one token. */
    TOKEN,
    /** Tokens of one channel: a scale for each channel and run of tokens, as KIVI has. */
    CHANNEL
  }

  /**
   * Checks that the parts fit.
   *
   * @throws IllegalArgumentException if the name is blank, or groups of keys along tokens do not
   *     leave the window whole
   */
  public KvPolicy {
    checkArgument(!name.isBlank(), "name: expected one, got a blank");
    if (keyAxis == KeyAxis.CHANNEL) {
      checkFlush(layers.usual(), tokens);
      checkFlush(layers.boundary(), tokens);
      layers.single().values().forEach(format -> checkFlush(format, tokens));
    }
  }

  private static void checkFlush(KvFormat format, TokenPolicy tokens) {
    int group = format.key().group();
    checkArgument(
        tokens.flush() % group == 0,
        "tokens: expected a flush of whole groups of %s tokens with keys by channel, got %s",
        group,
        tokens.flush());
  }

  /** The formats of a layer; see {@link LayerFormats#of}. */
  public KvFormat format(int layer, int layerCount) {
    return layers.of(layer, layerCount);
  }

  /** Bits an element takes in the usual layers, metadata included, tokens of 16 bits not. */
  public double bitsPerElement() {
    return (layers.usual().key().bitsPerElement() + layers.usual().value().bitsPerElement()) / 2;
  }

  /** The same under another name. */
  public KvPolicy withName(String newName) {
    return new KvPolicy(newName, transform, keyAxis, layers, tokens);
  }

  /** The same with other tokens in 16 bits. */
  public KvPolicy withTokens(TokenPolicy newTokens) {
    return new KvPolicy(name, transform, keyAxis, layers, newTokens);
  }

  /** The same with other formats. */
  public KvPolicy withLayers(LayerFormats newLayers) {
    return new KvPolicy(name, transform, keyAxis, newLayers, tokens);
  }
}
