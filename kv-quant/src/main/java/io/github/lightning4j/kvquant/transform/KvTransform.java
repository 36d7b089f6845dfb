package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * The basis in which keys and values are quantized. Had(n) is the Walsh-Hadamard matrix over the
 * root of n: symmetric, orthogonal, its own inverse. R_s is the rotary embedding of position s.
 */
public sealed interface KvTransform {
  /** Keys after the rotary embedding and values, as they come. */
  record Plain() implements KvTransform {}

  /**
   * RotateKV: keys before the rotary embedding, Had over {@code heads} neighbouring heads, channels
   * permuted to ascending calibrated mean; values Had per head. A key is needed whole again for
   * attention: permuted back, Had, then R_s.
   *
   * @param heads heads that one rotation mixes, at most; the largest divisor of the kv heads that
   *     fits is taken
   * @param scope what the permutation may mix
   */
  record PreRopeGrouped(int heads, PermutationScope scope) implements KvTransform {
    /**
     * Checks the heads.
     *
     * @throws IllegalArgumentException if there are none
     */
    public PreRopeGrouped {
      checkArgument(heads >= 1, "heads: expected >= 1, got %s", heads);
    }
  }

  /**
   * Keys and queries after the rotary embedding, Had per head; values Had per head. Scores need no
   * way back: {@code (Had q) . (Had k) = q . k}.
   */
  record HeadHadamard() implements KvTransform {}

  /**
   * As {@link HeadHadamard}, after the calibrated mean mu of the keys before the rotary embedding
   * was subtracted: stored is {@code Had R_s (k - mu)}, and the score is {@code (Had q) . stored +
   * q . R_s mu}.
   */
  record CenteredHadamard() implements KvTransform {}

  /**
   * WUSH-KV: calibrated matrices per kv head. Stored are {@code T_K k} and {@code T_V v}, keys
   * after the rotary embedding; queries take the inverse transpose of T_K, the output projection
   * the inverse of T_V.
   */
  record DensePair() implements KvTransform {}

  /** What a permutation of channels may mix. */
  enum PermutationScope {
    /** All channels of a layer's row of keys. */
    LAYER,
    /**
     * The channels of one rotation: the heads of a group, so that groups can lie on other ranks.
     */
    GROUP
  }
}
