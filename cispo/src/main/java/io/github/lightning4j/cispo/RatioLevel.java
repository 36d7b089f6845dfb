package io.github.lightning4j.cispo;

import java.util.Arrays;

/** Whose probability a ratio compares. */
public enum RatioLevel {
  /** Each token's own: {@code r_it = exp(logProb_it - oldLogProb_it)}. */
  TOKEN {
    @Override
    double[] ratios(TokenBatch batch, int sequence) {
      double[] ratios = new double[batch.length(sequence)];
      for (int t = 0; t < ratios.length; t++) {
        ratios[t] = Math.exp(batch.logRatio(sequence, t));
      }
      return ratios;
    }
  },

  /**
   * One for all tokens of a sequence, the geometric mean of theirs: {@code r_it = exp(mean_t
   * (logProb_it - oldLogProb_it))}.
   */
  SEQUENCE {
    @Override
    double[] ratios(TokenBatch batch, int sequence) {
      double sum = 0;
      for (int t = 0; t < batch.length(sequence); t++) {
        sum += batch.counts(sequence, t) ? batch.logRatio(sequence, t) : 0;
      }
      double[] ratios = new double[batch.length(sequence)];
      Arrays.fill(ratios, Math.exp(sum / batch.tokens(sequence)));
      return ratios;
    }
  };

  /** The ratio of each token; what stands where a token does not count means nothing. */
  abstract double[] ratios(TokenBatch batch, int sequence);
}
