package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/** A {@link Problem} computed segment by segment, with the exchange of {@link Segments} between. */
final class Segmented implements AutoCloseable {
  final Tensor entering;
  final Tensor last;
  final Tensor out;
  final Tensor dq;
  final Tensor dk;
  final Tensor dv;
  final Tensor dInitial;
  final double[] dLogDecay;
  private final MemoryScope scope = new MemoryScope();
  private final LightningAttention attention;
  private final Segments segments;
  private final Problem p;
  private final long[] tokens;
  private final Tensor leaving;
  private final Tensor dLog;

  Segmented(Backend backend, Problem p, long... tokens) {
    this.attention = LightningAttention.of(backend);
    this.segments = Segments.of(backend);
    this.p = p;
    this.tokens = tokens;
    DType type = p.state.dtype();
    entering = states(type);
    leaving = states(type);
    last = scope.allocate(type, p.state.shape());
    dInitial = scope.allocate(type, p.state.shape());
    out = scope.allocate(p.out.dtype(), p.out.shape());
    dq = scope.allocate(type, p.q.shape());
    dk = scope.allocate(type, p.k.shape());
    dv = scope.allocate(type, p.v.shape());
    dLog = scope.allocate(type, p.decay.heads());
    dLogDecay = new double[p.decay.heads()];
  }

  /** A state for each segment and row. */
  private Tensor states(DType type) {
    long[] one = p.state.shape();
    return scope.allocate(type, tokens.length, one[0], one[1], one[2], one[3]);
  }

  private long start(int segment) {
    return LongStream.of(Arrays.copyOf(tokens, segment)).sum();
  }

  /** The part of {@code [B, T, ...]} in a segment. */
  private Tensor part(Tensor x, int segment) {
    return x.narrow(1, start(segment), tokens[segment]);
  }

  Segmented forward(@Nullable Tensor initial) {
    Tensor local = states(p.state.dtype());
    for (int r = 0; r < tokens.length; r++) {
      Tensor state = local.select(0, r);
      attention.advance(part(p.k, r), part(p.v, r), p.decay, p.options, state, null, null);
    }
    segments.enteringStates(local, tokens, p.decay, initial, entering, last);
    for (int r = 0; r < tokens.length; r++) {
      attention.prefill(pass(r).initialState(entering.select(0, r)));
    }
    return this;
  }

  private Prefill pass(int segment) {
    return p.pass(start(segment), tokens[segment], part(out, segment));
  }

  /** After {@link #forward}. */
  Segmented backward(@Nullable Tensor dFinal) {
    Tensor local = states(p.state.dtype());
    for (int r = 0; r < tokens.length; r++) {
      Gradients own = new Gradients(part(p.dOut, r)).outDInitialState(local.select(0, r));
      attention.backward(pass(r), own);
    }
    segments.leavingAdjoints(local, tokens, p.decay, dFinal, leaving, dInitial);
    for (int r = 0; r < tokens.length; r++) {
      attention.backward(
          pass(r).initialState(entering.select(0, r)),
          new Gradients(part(p.dOut, r))
              .dFinalState(leaving.select(0, r))
              .outDq(part(dq, r))
              .outDkDv(part(dk, r), part(dv, r))
              .outDLogDecay(dLog));
      double[] logs = dLog.toDoubles();
      for (int h = 0; h < logs.length; h++) {
        dLogDecay[h] += logs[h];
      }
    }
    return this;
  }

  @Override
  public void close() {
    scope.close();
  }
}
