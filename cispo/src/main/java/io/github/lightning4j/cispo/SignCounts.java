package io.github.lightning4j.cispo;

/**
 * Tokens by the sign of their advantage.
 *
 * @param positive of tokens to be made likelier
 * @param negative of tokens to be made less likely
 * @param zero of tokens without a direction
 */
public record SignCounts(long positive, long negative, long zero) {
  static final SignCounts NONE = new SignCounts(0, 0, 0);

  /** Whatever the sign. */
  public long total() {
    return positive + negative + zero;
  }

  SignCounts plus(SignCounts other) {
    return new SignCounts(positive + other.positive, negative + other.negative, zero + other.zero);
  }
}
