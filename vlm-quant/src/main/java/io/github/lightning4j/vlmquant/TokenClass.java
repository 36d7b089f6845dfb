package io.github.lightning4j.vlmquant;

/**
 * What a token is to the cache of one layer. Each token has one class, the first of these that
 * applies, so that overlaps count once.
 */
public enum TokenClass {
  /** One of the last tokens, of either modality; AKVQ-VL keeps 128. */
  RECENT,
  /** One of the few tokens that absorb most attention; AKVQ-VL keeps 15. */
  PIVOT,
  /** Any other text token. */
  TEXT,
  /** Any other visual token. */
  VISUAL
}
