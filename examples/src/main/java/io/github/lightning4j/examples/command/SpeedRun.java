package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.util.Optional;
import java.util.Random;

/**
 * The speed at one context length.
 *
 * @param context tokens of the prompt
 * @param prefill prompt tokens a second
 * @param decode tokens a second behind that prompt, one sequence
 * @param batch several sequences together, where that was asked for
 */
record SpeedRun(int context, Spread prefill, Spread decode, Optional<BatchRun> batch) {
  private static final long SEED = 20251121;

  /**
   * Measures.
   *
   * @param steps tokens to decode
   * @param repeats measurements, after one that does not count
   * @param sequences to decode together beside the one; 1: none
   */
  static SpeedRun measure(MiniMaxModel model, int context, int steps, int repeats, int sequences) {
    return measure(model, model.options().cacheFormat(), context, steps, repeats, sequences);
  }

  /** As {@link #measure(MiniMaxModel, int, int, int, int)}, with key-value caches of a format. */
  static SpeedRun measure(
      MiniMaxModel model,
      KvCacheFormat caches,
      int context,
      int steps,
      int repeats,
      int sequences) {
    Random random = new Random(SEED);
    int[] prompt = random.ints(context, 0, model.config().vocabSize()).toArray();
    int[] next = random.ints(steps, 0, model.config().vocabSize()).toArray();
    double[] prefill = new double[repeats];
    double[] decode = new double[repeats];
    for (int repeat = -1; repeat < repeats; repeat++) {
      try (Session session = model.newSession(caches)) {
        long start = System.nanoTime();
        session.prefill(prompt);
        long read = System.nanoTime();
        for (int id : next) {
          session.decode(id);
        }
        long done = System.nanoTime();
        if (repeat >= 0) {
          prefill[repeat] = context * 1e9 / (read - start);
          decode[repeat] = steps * 1e9 / (done - read);
        }
      }
    }
    Optional<BatchRun> batch =
        sequences == 1
            ? Optional.empty()
            : Optional.of(BatchRun.measure(model, caches, sequences, context, steps, repeats));
    return new SpeedRun(context, Spread.of(prefill), Spread.of(decode), batch);
  }
}
