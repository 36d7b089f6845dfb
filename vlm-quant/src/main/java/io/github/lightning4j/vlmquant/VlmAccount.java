package io.github.lightning4j.vlmquant;

import java.util.EnumMap;
import java.util.Map;

/**
 * What the tokens of a cache take, class by class, to the bit.
 *
 * <pre>
 * payload bits   = sum_c bits_c n_c / T            2 + 14 n16 / T + 2 n4 / T with AKVQ-VL's classes
 * metadata bits  = 8 sum_c metadata_c n_c / (T elements)
 * </pre>
 *
 * @param classes of each class
 * @param elements of a token's key and value
 * @param pageBytes what the pages of the cache really take: slots that no token has yet, rows
 *     padded to 16 channels, and exact tokens that wait for their page to be let go included
 */
public record VlmAccount(Map<TokenClass, Share> classes, int elements, long pageBytes) {
  /**
   * Of one class.
   *
   * @param tokens how many there are
   * @param bits an element takes
   * @param metadataBytes scales and zero points of a token
   */
  public record Share(long tokens, int bits, long metadataBytes) {}

  /** Keeps a copy of the map. */
  public VlmAccount {
    classes = Map.copyOf(classes);
  }

  static VlmAccount of(VlmCacheConfig config, long[] tokens, long pageBytes) {
    Map<TokenClass, Share> classes = new EnumMap<>(TokenClass.class);
    for (TokenClass tokenClass : TokenClass.values()) {
      int bits = config.budget().bits(tokenClass);
      classes.put(
          tokenClass,
          new Share(
              tokens[tokenClass.ordinal()],
              bits == 16 ? 8 * config.dtype().bytes() : bits,
              config.metadataBytes(tokenClass)));
    }
    return new VlmAccount(classes, config.elements(), pageBytes);
  }

  /** Tokens of all classes. */
  public long tokens() {
    return classes.values().stream().mapToLong(Share::tokens).sum();
  }

  /** Bytes of the codes or elements of a class's tokens. */
  public long payloadBytes(TokenClass tokenClass) {
    Share share = classes.get(tokenClass);
    return share.tokens() * share.bits() * elements / 8;
  }

  /** Bytes of the scales and zero points of a class's tokens. */
  public long metadataBytes(TokenClass tokenClass) {
    Share share = classes.get(tokenClass);
    return share.tokens() * share.metadataBytes();
  }

  /** Bytes that the tokens of all classes take, metadata included. */
  public long storedBytes() {
    long bytes = 0;
    for (TokenClass tokenClass : TokenClass.values()) {
      bytes += payloadBytes(tokenClass) + metadataBytes(tokenClass);
    }
    return bytes;
  }

  /** Bits an element takes on average, without metadata; NaN without tokens. */
  public double payloadBits() {
    long bits = classes.values().stream().mapToLong(share -> share.tokens() * share.bits()).sum();
    return (double) bits / tokens();
  }

  /** Bits an element takes on average, with metadata; NaN without tokens. */
  public double averageBits() {
    return 8.0 * storedBytes() / ((double) elements * tokens());
  }
}
