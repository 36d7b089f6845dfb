package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/**
 * The recurrence token by token, in double: {@code S = lambda S + k^T v; o = q S}. Tensors may have
 * any floating type.
 */
public final class ReferenceLightning implements LightningKernels {
  /** Stateless. */
  public ReferenceLightning() {}

  @Override
  public void prefill(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor state,
      Tensor out,
      long from,
      long to) {
    for (long head = from; head < to; head++) {
      double lambda = Math.exp(logDecay.accessor().get(head % q.size(2)));
      double[] s = state(state, head);
      Rows queries = Rows.ofHead(q, head, options.silu(), options.scale());
      Rows keys = Rows.ofHead(k, head, options.silu(), 1);
      Rows values = Rows.ofHead(v, head, options.silu(), 1);
      Rows outputs = Rows.ofHead(out, head, false, 1);
      for (long t = 0; t < q.size(1); t++) {
        outputs.set(t, step(s, lambda, queries.get(t), keys.get(t), values.get(t)));
      }
      setState(state, head, s);
    }
  }

  @Override
  public void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor statePool,
      Tensor slots,
      Tensor out,
      long from,
      long to) {
    long heads = q.size(1);
    for (long head = from; head < to; head++) {
      long row = head / heads;
      long h = head % heads;
      long slot = slots.accessor().getLong(row);
      Rows output = Rows.of(out.select(0, row), false, 1);
      if (slot < 0) {
        output.set(h, new double[(int) v.size(2)]);
        continue;
      }
      double lambda = Math.exp(logDecay.accessor().get(h));
      double[] s = state(statePool, slot * heads + h);
      double[] query = Rows.of(q.select(0, row), options.silu(), options.scale()).get(h);
      double[] key = Rows.of(k.select(0, row), options.silu(), 1).get(h);
      double[] value = Rows.of(v.select(0, row), options.silu(), 1).get(h);
      output.set(h, step(s, lambda, query, key, value));
      setState(statePool, slot * heads + h, s);
    }
  }

  @Override
  public void backward(BackwardCall call, long from, long to) {
    for (long head = from; head < to; head++) {
      new ReferenceBackward(call, head).run();
    }
  }

  /** One token: changes the state, returns the output. */
  private static double[] step(double[] s, double lambda, double[] q, double[] k, double[] v) {
    double[] o = new double[v.length];
    for (int d = 0; d < k.length; d++) {
      for (int e = 0; e < v.length; e++) {
        int at = d * v.length + e;
        s[at] = lambda * s[at] + k[d] * v[e];
        o[e] += q[d] * s[at];
      }
    }
    return o;
  }

  /** The state of a head in contiguous {@code [B, H, Dk, Dv]}. */
  static double[] state(Tensor states, long head) {
    double[] s = new double[(int) (states.size(2) * states.size(3))];
    Elements from = states.accessor();
    for (int i = 0; i < s.length; i++) {
      s[i] = from.get(head * s.length + i);
    }
    return s;
  }

  static void setState(Tensor states, long head, double[] s) {
    Elements to = states.accessor();
    for (int i = 0; i < s.length; i++) {
      to.set(head * s.length + i, s[i]);
    }
  }
}
