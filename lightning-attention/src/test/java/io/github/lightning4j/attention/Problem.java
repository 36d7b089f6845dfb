package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;

/**
 * Random inputs of a prefill, q, k and v interleaved in one fused projection {@code [B, T, H, 2 Dk
 * + Dv]} as the models have them, with random initial states and random output gradients.
 */
final class Problem implements AutoCloseable {
  final MemoryScope scope = new MemoryScope();
  final Tensor fused;
  final Tensor q;
  final Tensor k;
  final Tensor v;
  final Tensor initial;
  final Tensor state;
  final Tensor out;
  final Tensor dOut;
  final Tensor dFinal;
  final Decay decay;
  final Options options;

  Problem(long seed, long b, long t, long dk, long dv, double... slopes) {
    this(seed, b, t, dk, dv, Options.DEFAULT, slopes);
  }

  Problem(long seed, long b, long t, long dk, long dv, Options options, double... slopes) {
    this(seed, DType.F32, DType.F32, b, t, dk, dv, options, slopes);
  }

  /** With inputs and output gradients of one type and outputs of another. */
  Problem(
      long seed,
      DType in,
      DType to,
      long b,
      long t,
      long dk,
      long dv,
      Options options,
      double... slopes) {
    long h = slopes.length;
    DType states = in == DType.F64 ? DType.F64 : DType.F32;
    fused = scope.add(Cases.normal(seed, in, b, t, h, 2 * dk + dv));
    q = fused.narrow(3, 0, dk);
    k = fused.narrow(3, dk, dk);
    v = fused.narrow(3, 2 * dk, dv);
    initial = scope.add(Cases.normal(seed + 1, states, b, h, dk, dv));
    state = scope.allocate(states, b, h, dk, dv);
    state.copyFrom(initial);
    out = scope.allocate(to, b, t, h, dv);
    dOut = scope.add(Cases.normal(seed + 2, in, b, t, h, dv));
    dFinal = scope.add(Cases.normal(seed + 3, states, b, h, dk, dv));
    decay = Decay.ofSlopes(slopes);
    this.options = options;
  }

  /** Runs the whole of it. */
  Problem prefill(LightningAttention attention) {
    attention.prefill(q, k, v, decay, options, state, out);
    return this;
  }

  /** A pass over the whole of it, without states. */
  Prefill pass() {
    return pass(out);
  }

  Prefill pass(Tensor to) {
    return new Prefill(q, k, v, decay, options, to);
  }

  /** A pass over tokens {@code [from, from + count)} of every row. */
  Prefill pass(long from, long count, Tensor to) {
    return new Prefill(
        q.narrow(1, from, count),
        k.narrow(1, from, count),
        v.narrow(1, from, count),
        decay,
        options,
        to);
  }

  /** The truth for one head, from the initial state. */
  QuadraticForm oracle(long b, long h) {
    return new QuadraticForm(
        read(head(q, b, h), options.scale()),
        read(head(k, b, h), 1),
        read(head(v, b, h), 1),
        rows(state(initial, b, h)),
        decay.logDecay((int) h));
  }

  private double[][] read(Tensor x, double factor) {
    double[][] rows = rows(x);
    for (double[] row : rows) {
      for (int d = 0; d < row.length; d++) {
        row[d] = factor * (options.silu() ? row[d] / (1 + Math.exp(-row[d])) : row[d]);
      }
    }
    return rows;
  }

  /** {@code [T, D]} of one head in {@code [B, T, H, D]}. */
  static Tensor head(Tensor x, long b, long h) {
    return x.select(0, b).select(1, h);
  }

  /** {@code [Dk, Dv]} of one head in {@code [B, H, Dk, Dv]}. */
  static Tensor state(Tensor x, long b, long h) {
    return x.select(0, b).select(0, h);
  }

  static double[][] rows(Tensor x) {
    double[] flat = x.toDoubles();
    int n = (int) x.size(1);
    double[][] rows = new double[(int) x.size(0)][n];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(flat, i * n, rows[i], 0, n);
    }
    return rows;
  }

  static double[] flat(double[][] rows) {
    int n = rows.length == 0 ? 0 : rows[0].length;
    double[] flat = new double[rows.length * n];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, flat, i * n, n);
    }
    return flat;
  }

  @Override
  public void close() {
    scope.close();
  }
}
