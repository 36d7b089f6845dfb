package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * MiniMax-M1's early stop: a response that repeats itself is sure of every token, so generation
 * ends after a long run of tokens that were all nearly certain.
 *
 * @param run how many such tokens in a row end a response
 * @param probability a token counts if it was likelier than this
 */
public record RepetitionStop(int run, double probability) {
  /** 3,000 tokens in a row of probability above 0.99. */
  public static final RepetitionStop MINIMAX_M1 = new RepetitionStop(3000, 0.99);

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException unless {@code run >= 1} and the probability is in [0, 1)
   */
  public RepetitionStop {
    checkArgument(run >= 1, "run: expected >= 1, got %s", run);
    checkArgument(
        probability >= 0 && probability < 1,
        "probability: expected 0 to below 1, got %s",
        probability);
  }

  /** A counter for one response. */
  public Counter start() {
    return new Counter(run, Math.log(probability));
  }

  /** Watches one response. */
  public static final class Counter {
    private final int run;
    private final double least;
    private int length;

    private Counter(int run, double least) {
      this.run = run;
      this.least = least;
    }

    /**
     * Takes the next token.
     *
     * @param logProb the log-probability it was sampled with
     * @return whether the response should end with it
     * @throws IllegalArgumentException if it is NaN
     */
    public boolean stops(double logProb) {
      checkArgument(!Double.isNaN(logProb), "logProb: expected a log-probability, got NaN");
      length = logProb > least ? length + 1 : 0;
      return length >= run;
    }

    /** The length of the run that the last token is part of. */
    public int length() {
      return length;
    }
  }
}
