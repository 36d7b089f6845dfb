package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.Session;
import java.util.Arrays;

/**
 * How unlikely a model finds tokens, given those before them in their window:
 *
 * <pre>sum over t of  -log softmax(logits[t-1])[id[t]]</pre>
 *
 * <p>Log-softmax and sum are in double, in the order of the tokens.
 *
 * @param sum nats
 * @param tokens how many were told; the first of a window is not
 */
record NegativeLogLikelihood(double sum, long tokens) {
  /** {@code exp(sum / tokens)}. */
  double perplexity() {
    return Math.exp(sum / tokens);
  }

  /**
   * Over windows that do not overlap; a last window of one token tells nothing.
   *
   * @param window tokens a window, from 2 to the model's context
   */
  static NegativeLogLikelihood of(
      MiniMaxModel model, int[] ids, int window, ProgressListener progress) {
    long rows = Math.min(window, ids.length);
    double sum = 0;
    long tokens = 0;
    try (Tensor logits = Tensor.allocate(DType.F32, rows, model.config().vocabSize())) {
      for (int from = 0; from < ids.length - 1; ) {
        int[] part = Arrays.copyOfRange(ids, from, from + Math.min(window, ids.length - from));
        sum += ofWindow(model, part, logits.narrow(0, 0, part.length));
        tokens += part.length - 1;
        from += part.length;
        progress.progress(from, ids.length);
      }
    }
    return new NegativeLogLikelihood(sum, tokens);
  }

  private static double ofWindow(MiniMaxModel model, int[] ids, Tensor logits) {
    try (Session session = model.newSession()) {
      session.forward(ids, ForwardObserver.NONE, logits);
    }
    double[] each = new double[ids.length - 1];
    Threads.forRanges(
        each.length,
        1,
        (from, to) -> {
          for (int t = (int) from; t < to; t++) {
            each[t] = ofToken(logits.select(0, t), ids[t + 1]);
          }
        });
    return Arrays.stream(each).sum();
  }

  private static double ofToken(Tensor logits, int id) {
    Elements row = logits.accessor();
    long size = logits.elements();
    double max = Double.NEGATIVE_INFINITY;
    for (long i = 0; i < size; i++) {
      max = Math.max(max, row.get(i));
    }
    double sum = 0;
    for (long i = 0; i < size; i++) {
      sum += Math.exp(row.get(i) - max);
    }
    return Math.log(sum) + max - row.get(id);
  }
}
