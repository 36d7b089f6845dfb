package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import org.jspecify.annotations.Nullable;

/**
 * The recurrence token by token, in double: {@code S = lambda S + k^T v; o = q S}. Tensors may have
 * any floating type.
 */
public final class ReferenceLightning implements LightningKernels {
  /** Stateless. */
  public ReferenceLightning() {}

  @Override
  public boolean takesDoubles() {
    return true;
  }

  @Override
  public void prefill(PrefillCall c) {
    long sequences = c.sequences().size();
    Threads.forRanges(
        c.heads() * sequences,
        1,
        (from, to) -> {
          for (long unit = from; unit < to; unit++) {
            prefill(c, c.sequences().get((int) (unit % sequences)), unit / sequences);
          }
        });
  }

  private static void prefill(PrefillCall c, Sequence sequence, long head) {
    double lambda = Math.exp(c.logDecay().accessor().get(head));
    double[] s = state(c.initial(), sequence.initial(), head, c.dk() * c.dv());
    Rows keys = Rows.of(c.k(), sequence, head).read(c.options().silu(), 1);
    Rows values = Rows.of(c.v(), sequence, head).read(c.options().silu(), 1);
    Rows queries = null;
    Rows outputs = null;
    if (c.q() != null && c.out() != null) {
      queries = Rows.of(c.q(), sequence, head).read(c.options().silu(), c.options().scale());
      outputs = Rows.of(c.out(), sequence, head);
    }
    long snapshot = sequence.snapshot();
    long until = snapshot < 0 ? -1 : sequence.untilSnapshot();
    for (long t = 0; t < sequence.tokens(); t++) {
      double[] query = queries == null ? null : queries.get(t);
      double[] out = step(s, lambda, query, keys.get(t), values.get(t));
      if (outputs != null) {
        outputs.set(t, out);
      }
      if (t + 1 == until) {
        setState(c.snapshots(), snapshot++, head, s);
        until += c.snapshotEvery();
      }
    }
    setState(c.last(), sequence.last(), head, s);
  }

  @Override
  public void decode(DecodeCall c) {
    long heads = c.q().size(1);
    Recording.forRanges(
        c.q().size(0) * heads,
        1,
        (from, to) -> {
          for (long unit = from; unit < to; unit++) {
            decode(c, unit / heads, unit % heads);
          }
        });
  }

  private static void decode(DecodeCall c, long row, long head) {
    long slot = c.slots().accessor().getLong(row);
    Rows output = Rows.of(c.out().select(0, row), false, 1);
    int dv = (int) c.v().size(2);
    if (slot < 0) {
      output.set(head, new double[dv]);
      return;
    }
    boolean silu = c.options().silu();
    double lambda = Math.exp(c.logDecay().accessor().get(head));
    double[] s = state(c.pool(), slot, head, c.q().size(2) * dv);
    double[] query = Rows.of(c.q().select(0, row), silu, c.options().scale()).get(head);
    double[] key = Rows.of(c.k().select(0, row), silu, 1).get(head);
    double[] value = Rows.of(c.v().select(0, row), silu, 1).get(head);
    output.set(head, step(s, lambda, query, key, value));
    setState(c.pool(), slot, head, s);
  }

  @Override
  public void backward(BackwardCall c) {
    long sequences = c.sequences().size();
    Threads.forRanges(
        c.q().size(2) * sequences,
        1,
        (from, to) -> {
          for (long unit = from; unit < to; unit++) {
            new ReferenceBackward(c, (int) (unit % sequences), unit / sequences).run();
          }
        });
  }

  @Override
  public void combine(CombineCall c) {
    Elements local = c.local().accessor();
    Elements entering = c.entering().accessor();
    int segments = c.tokens().length;
    long heads = c.local().size(2);
    long size = c.local().size(3) * c.local().size(4);
    long units = c.local().size(1) * heads;
    for (long unit = 0; unit < units; unit++) {
      double log = c.logDecay().accessor().get(unit % heads);
      double[] state = state(c.initial(), 0, unit, size);
      for (int i = 0; i < segments; i++) {
        int segment = c.reverse() ? segments - 1 - i : i;
        double fade = Math.exp(log * c.tokens()[segment]);
        for (int e = 0; e < size; e++) {
          long at = (segment * units + unit) * size + e;
          entering.set(at, state[e]);
          state[e] = fade * state[e] + local.get(at);
        }
      }
      setState(c.last(), 0, unit, state);
    }
  }

  /** One token: changes the state, returns the output if there is a query. */
  private static double[] step(
      double[] s, double lambda, double @Nullable [] q, double[] k, double[] v) {
    double[] o = new double[v.length];
    for (int d = 0; d < k.length; d++) {
      for (int e = 0; e < v.length; e++) {
        int at = d * v.length + e;
        s[at] = lambda * s[at] + k[d] * v[e];
        o[e] += q == null ? 0 : q[d] * s[at];
      }
    }
    return o;
  }

  /** The state of a head in an entry of a pool {@code [., H, Dk, Dv]}; zeros for none. */
  static double[] state(@Nullable Tensor pool, long entry, long head, long size) {
    double[] s = new double[(int) size];
    if (pool != null && entry >= 0) {
      Elements from = pool.accessor();
      long start = entry * pool.stride(0) + head * size;
      for (int i = 0; i < s.length; i++) {
        s[i] = from.get(start + i);
      }
    }
    return s;
  }

  static void setState(@Nullable Tensor pool, long entry, long head, double[] s) {
    if (pool != null && entry >= 0) {
      Elements to = pool.accessor();
      long start = entry * pool.stride(0) + head * s.length;
      for (int i = 0; i < s.length; i++) {
        to.set(start + i, s[i]);
      }
    }
  }
}
