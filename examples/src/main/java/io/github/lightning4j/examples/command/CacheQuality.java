package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.Session;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a format of key-value caches does to predictions, against a better one (the base).
 *
 * <pre>
 * perplexity   exp of the mean over t of  -log p[t](id[t+1])
 * divergence   mean over t of  sum_i base[t](i) (log base[t](i) - log p[t](i))
 * agreement    share of t with  argmax p[t] = argmax base[t]
 * </pre>
 *
 * <p>All sums are in double, in the order of the tokens.
 *
 * @param perplexity of the text
 * @param divergence Kullback-Leibler, in nats a token
 * @param agreement from 0 to 1
 * @param tokens how many were predicted
 */
record CacheQuality(double perplexity, double divergence, double agreement, long tokens) {
  /**
   * Over windows that do not overlap; a last window of one token is dropped.
   *
   * @param base what all others are held against
   * @param formats the others
   * @return that of the base, then those of the formats
   */
  static List<CacheQuality> of(
      MiniMaxModel model,
      KvCacheFormat base,
      List<KvCacheFormat> formats,
      int[] ids,
      int window,
      ProgressListener progress) {
    Sums[] sums = new Sums[formats.size() + 1];
    Arrays.setAll(sums, i -> new Sums());
    long[] shape = {Math.min(window, ids.length), model.config().vocabSize()};
    try (Tensor expected = Tensor.allocate(DType.F32, shape);
        Tensor got = Tensor.allocate(DType.F32, shape)) {
      for (int from = 0; from < ids.length - 1; from += window) {
        int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + window));
        if (part.length > 1) {
          forward(model, base, part, expected);
          sums[0].add(part, expected, expected);
          for (int i = 0; i < formats.size(); i++) {
            forward(model, formats.get(i), part, got);
            sums[i + 1].add(part, expected, got);
          }
        }
        progress.progress(from + (long) part.length, ids.length);
      }
    }
    List<CacheQuality> all = new ArrayList<>();
    for (Sums sum : sums) {
      all.add(sum.quality());
    }
    return all;
  }

  private static void forward(MiniMaxModel model, KvCacheFormat format, int[] ids, Tensor logits) {
    try (Session session = model.newSession(format)) {
      session.forward(ids, ForwardObserver.NONE, logits.narrow(0, 0, ids.length));
    }
  }

  private static final class Sums {
    private double surprise;
    private double divergence;
    private long agreeing;
    private long tokens;

    void add(int[] ids, Tensor expected, Tensor got) {
      int rows = ids.length - 1;
      double[] surprises = new double[rows];
      double[] divergences = new double[rows];
      boolean[] same = new boolean[rows];
      Threads.forRanges(
          rows,
          1,
          (from, to) -> {
            for (int t = (int) from; t < to; t++) {
              double[] base = logProbabilities(expected.select(0, t).toFloats());
              double[] here = logProbabilities(got.select(0, t).toFloats());
              surprises[t] = -here[ids[t + 1]];
              divergences[t] = divergence(base, here);
              same[t] = best(base) == best(here);
            }
          });
      for (int t = 0; t < rows; t++) {
        surprise += surprises[t];
        divergence += divergences[t];
        agreeing += same[t] ? 1 : 0;
      }
      tokens += rows;
    }

    CacheQuality quality() {
      return new CacheQuality(
          Math.exp(surprise / tokens), divergence / tokens, (double) agreeing / tokens, tokens);
    }
  }

  static double[] logProbabilities(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    double log = Math.log(sum) + max;
    double[] all = new double[logits.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = logits[i] - log;
    }
    return all;
  }

  static double divergence(double[] base, double[] here) {
    double sum = 0;
    for (int i = 0; i < base.length; i++) {
      sum += Math.exp(base[i]) * (base[i] - here[i]);
    }
    return sum;
  }

  static int best(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }
}
