package io.github.lightning4j.kvquant.policy;

import io.github.lightning4j.kvquant.quantizer.KvQuantizer;

/**
 * The formats of a layer's keys and values.
 *
 * @param key the format of keys
 * @param value the format of values
 */
public record KvFormat(KvQuantizer key, KvQuantizer value) {
  /** One format for both. */
  public static KvFormat both(KvQuantizer quantizer) {
    return new KvFormat(quantizer, quantizer);
  }
}
