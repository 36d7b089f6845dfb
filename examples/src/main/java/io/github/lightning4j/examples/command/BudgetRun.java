package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * The speed of as many sequences together as the model's budget of caches has room for.
 *
 * @param format of the caches
 * @param context tokens of each prompt
 * @param sequences how many fit, until all measurements are done
 * @param decode tokens a second, those of all together
 */
record BudgetRun(String format, int context, int sequences, Spread decode) {
  private static final long SEED = 20251123;

  /**
   * Measures: prompts, each another one, are read until there is no room, then all go on together.
   * Who has no room to go on is left out.
   *
   * @param steps tokens to decode behind each
   * @param repeats measurements, after one that does not count; each goes on behind the one before
   * @throws IllegalArgumentException if not a single sequence fits
   */
  static BudgetRun measure(
      MiniMaxModel model, KvCacheFormat format, int context, int steps, int repeats) {
    Random random = new Random(SEED);
    List<Session> sessions = new ArrayList<>();
    try {
      fill(model, format, context, random, sessions);
      double[] decode = new double[repeats];
      for (int repeat = -1; repeat < repeats; ) {
        checkArgument(
            !sessions.isEmpty(),
            "--budget: expected room for a sequence of %s tokens in %s, got %s bytes",
            context,
            format.name(),
            model.options().cacheBudget().limit());
        try {
          double speed = speed(model, sessions, random, steps);
          if (repeat >= 0) {
            decode[repeat] = speed;
          }
          repeat++;
        } catch (PageBudgetException e) {
          sessions.remove(sessions.size() - 1).close();
          repeat = -1;
        }
      }
      return new BudgetRun(format.name(), context, sessions.size(), Spread.of(decode));
    } finally {
      sessions.forEach(Session::close);
    }
  }

  private static void fill(
      MiniMaxModel model,
      KvCacheFormat format,
      int context,
      Random random,
      List<Session> sessions) {
    while (sessions.size() < model.mostSessions()) {
      Session session = model.newSession(format);
      sessions.add(session);
      try {
        session.prefill(random.ints(context, 0, model.config().vocabSize()).toArray());
      } catch (PageBudgetException e) {
        sessions.remove(sessions.size() - 1).close();
        return;
      }
    }
  }

  private static double speed(
      MiniMaxModel model, List<Session> sessions, Random random, int steps) {
    long start = System.nanoTime();
    for (int step = 0; step < steps; step++) {
      Session.decode(
          sessions, random.ints(sessions.size(), 0, model.config().vocabSize()).toArray());
    }
    return (double) steps * sessions.size() * 1e9 / (System.nanoTime() - start);
  }
}
