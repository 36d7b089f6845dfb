package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * How the terms of tokens become one number: {@code L = sum_i w_i sum_t l_it} over the tokens that
 * count, n_i of sequence i, N of all B sequences, N_g of group g, G groups.
 *
 * <p>B, N, N_g and G are those of {@link TokenBatch#counts()}, so that parts of a batch add up to
 * the whole. A sequence none of whose tokens count adds nothing, but is one of the B; a group of
 * such sequences is none of the G.
 */
public sealed interface Aggregation {

  /** {@code w_i = 1 / (B n_i)}: all sequences weigh the same, so tokens of short ones more. */
  record SequenceMean() implements Aggregation {
    @Override
    public double[] weights(TokenBatch batch) {
      double[] weights = new double[batch.sequences()];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = 1.0 / batch.counts().sequences() / Math.max(1, batch.tokens(i));
      }
      return weights;
    }
  }

  /** {@code w_i = 1 / N}: all tokens weigh the same. */
  record TokenMean() implements Aggregation {
    @Override
    public double[] weights(TokenBatch batch) {
      return all(batch, 1.0 / batch.counts().tokens());
    }
  }

  /**
   * {@code w_i = 1 / (G N_g(i))}: all groups weigh the same, and within a group all tokens, as
   * MiniMax-M1 writes it and ScaleRL recommends. Equal to {@link TokenMean} for one group. Needs
   * {@link TokenBatch#withGroups}.
   */
  record GroupMean() implements Aggregation {
    @Override
    public double[] weights(TokenBatch batch) {
      checkArgument(
          batch.hasGroups(), "batch: expected groups to average over, got none; see withGroups");
      BatchCounts counts = batch.counts();
      double[] weights = new double[batch.sequences()];
      for (int i = 0; i < weights.length; i++) {
        long tokens = counts.tokensOfGroup(batch.group(i));
        weights[i] = 1.0 / counts.groups() / Math.max(1, tokens);
      }
      return weights;
    }
  }

  /**
   * {@code w_i = 1 / (B maxLength)}: a token weighs the same in every batch.
   *
   * @param maxLength the most tokens a sequence may have
   */
  record FixedLength(int maxLength) implements Aggregation {
    /**
     * Checks the length.
     *
     * @throws IllegalArgumentException if it is below 1
     */
    public FixedLength {
      checkArgument(maxLength >= 1, "maxLength: expected >= 1, got %s", maxLength);
    }

    @Override
    public double[] weights(TokenBatch batch) {
      for (int i = 0; i < batch.sequences(); i++) {
        checkArgument(
            batch.tokens(i) <= maxLength,
            "batch: expected at most maxLength = %s tokens in sequence %s, got %s",
            maxLength,
            i,
            batch.tokens(i));
      }
      return all(batch, 1.0 / batch.counts().sequences() / maxLength);
    }
  }

  /**
   * The weight that each token of a sequence has, for all sequences.
   *
   * @throws IllegalArgumentException if a sequence is too long, or groups are missing
   */
  double[] weights(TokenBatch batch);

  private static double[] all(TokenBatch batch, double weight) {
    double[] weights = new double[batch.sequences()];
    Arrays.fill(weights, weight);
    return weights;
  }
}
