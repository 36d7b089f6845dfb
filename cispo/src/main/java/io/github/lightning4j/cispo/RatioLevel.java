package io.github.lightning4j.cispo;

import java.util.Arrays;

/** Whose probability a ratio compares. */
public enum RatioLevel {
  /** Each token's own: {@code log r_it = logProb_it - oldLogProb_it}. */
  TOKEN {
    @Override
    double[] logRatios(TokenBatch batch, int sequence) {
      double[] logRatios = new double[batch.length(sequence)];
      for (int t = 0; t < logRatios.length; t++) {
        logRatios[t] = batch.logRatio(sequence, t);
      }
      return logRatios;
    }

    @Override
    void carry(double[] slopes, TokenBatch batch, int sequence) {}
  },

  /**
   * One for all tokens of a sequence, the geometric mean of theirs: {@code log r_it = mean_t
   * (logProb_it - oldLogProb_it)}.
   */
  SEQUENCE {
    @Override
    double[] logRatios(TokenBatch batch, int sequence) {
      double sum = 0;
      for (int t = 0; t < batch.length(sequence); t++) {
        sum += batch.counts(sequence, t) ? batch.logRatio(sequence, t) : 0;
      }
      double[] logRatios = new double[batch.length(sequence)];
      Arrays.fill(logRatios, sum / batch.tokens(sequence));
      return logRatios;
    }

    @Override
    void carry(double[] slopes, TokenBatch batch, int sequence) {
      double sum = 0;
      for (int t = 0; t < slopes.length; t++) {
        sum += batch.counts(sequence, t) ? slopes[t] : 0;
      }
      Arrays.fill(slopes, sum / batch.tokens(sequence));
    }
  };

  /** The log-ratio of each token; what stands where a token does not count means nothing. */
  abstract double[] logRatios(TokenBatch batch, int sequence);

  /** From derivatives by the log-ratios of a sequence to those by its log-probabilities. */
  abstract void carry(double[] slopes, TokenBatch batch, int sequence);
}
