package io.github.lightning4j.minimax;

import java.util.Arrays;
import java.util.BitSet;
import java.util.SplittableRandom;

/**
 * Picks tokens from logits: repetition penalty, temperature, then top-k, top-p and min-p over the
 * remaining probabilities, then one random number. Greedy where the temperature is 0; ties go to
 * the lowest id. Scratch arrays are kept, so a step allocates nothing that lasts.
 *
 * <p>Not thread-safe: one a sequence.
 */
public final class Sampler {
  private final GenerationOptions options;
  private final SplittableRandom random;
  private final BitSet seen = new BitSet();
  private float[] scores = new float[0];
  private long[] order = new long[0];

  /** A sampler with its own random numbers, seeded by the options. */
  public Sampler(GenerationOptions options) {
    this.options = options;
    this.random = new SplittableRandom(options.seed());
  }

  /** Tells of a token that is part of the text, for the repetition penalty. */
  public void accept(int id) {
    seen.set(id);
  }

  /**
   * Picks the next token.
   *
   * @param logits {@code [V]}; not changed
   * @throws IllegalStateException if no logit is finite
   */
  public int sample(float[] logits) {
    if (scores.length != logits.length) {
      scores = new float[logits.length];
      order = new long[logits.length];
    }
    System.arraycopy(logits, 0, scores, 0, logits.length);
    penalise();
    int best = argMax();
    if (!Float.isFinite(scores[best])) {
      throw new IllegalStateException(
          "logits: no finite value among " + scores.length + "; the best is " + scores[best]);
    }
    return options.temperature() == 0 ? best : draw(scores[best]);
  }

  private void penalise() {
    float penalty = (float) options.repetitionPenalty();
    if (penalty == 1) {
      return;
    }
    for (int id = seen.nextSetBit(0); id >= 0; id = seen.nextSetBit(id + 1)) {
      scores[id] = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
    }
  }

  private int argMax() {
    int best = 0;
    for (int i = 1; i < scores.length; i++) {
      if (scores[i] > scores[best] || Float.isNaN(scores[best])) {
        best = i;
      }
    }
    return best;
  }

  /** Draws from the filtered distribution; scores become unnormalised probabilities in [0, 1]. */
  private int draw(float highest) {
    int candidates = 0;
    for (int i = 0; i < scores.length; i++) {
      double p = Math.exp((scores[i] - (double) highest) / options.temperature());
      scores[i] = (float) p;
      if (p > 0 && p >= options.minP()) {
        // Descending by probability, then ascending by id, once sorted as longs.
        order[candidates++] = (long) ~Float.floatToRawIntBits((float) p) << 32 | i;
      }
    }
    int kept = filter(candidates);
    double sum = 0;
    for (int i = 0; i < kept; i++) {
      sum += scores[(int) order[i]];
    }
    double at = random.nextDouble() * sum;
    for (int i = 0; i < kept - 1; i++) {
      at -= scores[(int) order[i]];
      if (at < 0) {
        return (int) order[i];
      }
    }
    return (int) order[kept - 1];
  }

  /**
   * How many of the first candidates survive top-k and top-p; sorts only where one is asked for.
   */
  private int filter(int candidates) {
    boolean byRank = options.topK() > 0 && options.topK() < candidates;
    if (!byRank && options.topP() == 1) {
      return candidates;
    }
    Arrays.sort(order, 0, candidates);
    int kept = byRank ? options.topK() : candidates;
    if (options.topP() == 1) {
      return kept;
    }
    double total = 0;
    for (int i = 0; i < kept; i++) {
      total += scores[(int) order[i]];
    }
    double sum = 0;
    for (int i = 0; i < kept; i++) {
      sum += scores[(int) order[i]];
      if (sum >= options.topP() * total) {
        return i + 1;
      }
    }
    return kept;
  }
}
