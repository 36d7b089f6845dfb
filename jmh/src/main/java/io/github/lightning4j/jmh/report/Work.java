package io.github.lightning4j.jmh.report;

import io.github.lightning4j.jmh.report.Kernel.Algorithm;

/**
 * What a call must do: the operations of its algorithm (a multiply-add is two) and the bytes it
 * must move if each tensor went through memory once.
 *
 * <p>With heads of D channels, chunks of m = {@value #CHUNK} tokens, and only the causal half of
 * what is triangular:
 *
 * <pre>
 * lightning, a token and head   forward    4 D^2 + 2 (m+1) D
 *                               backward  10 D^2 + 6 (m+1) D     the products of a chunk done twice count twice
 *                               decode     5 D^2                 8 D^2 bytes: the state, read and written
 * softmax, a head               forward    2 D T (T+1)           two products
 *                               backward   5 D T (T+1)           five, with the scores recomputed
 * </pre>
 *
 * Bytes of a forward call are q, k, v and the output; of a backward call q, k, v, the gradient of
 * the output and three gradients.
 */
record Work(double operations, double bytes) {
  static final int CHUNK = 32;

  static Work of(Measurement call) {
    double heads = (double) call.batch() * call.size().heads();
    double d = call.size().headSize();
    double t = call.size().tokens();
    if (call.pass().isDecode()) {
      return new Work(heads * 5 * d * d, heads * 8 * d * d);
    }
    boolean training = call.pass() == Pass.FORWARD_BACKWARD;
    double tensors = training ? 4 + 7 : 4;
    return new Work(
        heads * operations(call.kernel().algorithm(), training, d, t),
        heads * tensors * t * d * call.dtype().bytes());
  }

  private static double operations(Algorithm algorithm, boolean training, double d, double t) {
    double triangle = (CHUNK + 1) * d;
    return switch (algorithm) {
      case LINEAR -> t * (4 * d * d + 2 * triangle + (training ? 10 * d * d + 6 * triangle : 0));
      case QUADRATIC -> d * t * (t + 1) * (training ? 2 + 5 : 2);
    };
  }
}
