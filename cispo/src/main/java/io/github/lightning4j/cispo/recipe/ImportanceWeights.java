package io.github.lightning4j.cispo.recipe;

/**
 * The weights of an {@link ImportanceCorrection}, and how far apart generator and trainer are;
 * means over the tokens that count. The ratios are those before truncation or masking.
 *
 * @param weights {@code [B][T_i]}; the array is the caller's
 * @param changed the fraction of tokens whose ratio was truncated or masked
 * @param meanRatio near 1 where both are nearly the same policy
 * @param maxRatio the largest
 * @param effectiveSampleSize {@code (sum w)^2 / (n sum w^2)} of the weights; 0 if all are 0
 * @param k1 mean of {@code generator - trainer}, an estimate of KL(generator || trainer)
 * @param k3 mean of {@code rho - 1 - log rho} over tokens, another
 * @param chiSquare mean of {@code rho^2} less 1 over tokens: the variance the correction costs
 * @param perplexityRatio perplexity of the trainer over that of the generator, {@code exp(k1)}
 */
public record ImportanceWeights(
    double[][] weights,
    double changed,
    double meanRatio,
    double maxRatio,
    double effectiveSampleSize,
    double k1,
    double k3,
    double chiSquare,
    double perplexityRatio) {}
