package io.github.lightning4j.cispo;

/**
 * Three estimates of a KL divergence from samples of p, {@code d = log q - log p}, means over
 * tokens. The expectation of k1 and k3 is {@code KL(p || q)}; k1 has the larger variance and can be
 * negative, k2 is biased. Differences are clamped to &plusmn;20.
 *
 * @param k1 {@code -d}
 * @param k2 {@code d^2 / 2}
 * @param k3 {@code exp(d) - d - 1}
 */
public record KlEstimates(double k1, double k2, double k3) {
  static final KlEstimates NONE = new KlEstimates(0, 0, 0);

  static KlEstimates of(double difference) {
    double d = LogRatio.clamped(difference);
    return new KlEstimates(-d, d * d / 2, Math.expm1(d) - d);
  }

  KlEstimates plus(KlEstimates other) {
    return new KlEstimates(k1 + other.k1, k2 + other.k2, k3 + other.k3);
  }

  KlEstimates times(double factor) {
    return new KlEstimates(k1 * factor, k2 * factor, k3 * factor);
  }
}
