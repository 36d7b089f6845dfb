package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * The speed of several sequences decoded together at one context length.
 *
 * @param sequences how many
 * @param decode tokens a second, those of all together
 */
record BatchRun(int sequences, Spread decode) {
  private static final long SEED = 20251122;

  /**
   * Measures. Each sequence has a prompt of its own, so that they share no pages and choose experts
   * for themselves.
   *
   * @param caches how sessions hold keys and values
   * @param context tokens of each prompt
   * @param steps tokens to decode behind each
   * @param repeats measurements, after one that does not count
   */
  static BatchRun measure(
      MiniMaxModel model,
      KvCacheFormat caches,
      int sequences,
      int context,
      int steps,
      int repeats) {
    Random random = new Random(SEED);
    int vocabulary = model.config().vocabSize();
    double[] decode = new double[repeats];
    try (MemoryScope scope = new MemoryScope()) {
      List<Session> prompts = new ArrayList<>();
      for (int i = 0; i < sequences; i++) {
        Session session = scope.add(model.newSession(caches));
        session.prefill(random.ints(context, 0, vocabulary).toArray());
        prompts.add(session);
      }
      for (int repeat = -1; repeat < repeats; repeat++) {
        double speed = speed(prompts, random, vocabulary, steps);
        if (repeat >= 0) {
          decode[repeat] = speed;
        }
      }
    }
    return new BatchRun(sequences, Spread.of(decode));
  }

  private static double speed(List<Session> prompts, Random random, int vocabulary, int steps) {
    try (MemoryScope scope = new MemoryScope()) {
      List<Session> sessions = new ArrayList<>();
      prompts.forEach(prompt -> sessions.add(scope.add(prompt.fork())));
      long start = System.nanoTime();
      for (int step = 0; step < steps; step++) {
        Session.decode(sessions, random.ints(sessions.size(), 0, vocabulary).toArray());
      }
      return (double) steps * sessions.size() * 1e9 / (System.nanoTime() - start);
    }
  }
}
