package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The gradients of a {@link Problem}; those of q, k, v interleaved in one fused gradient. */
final class BackwardRun implements AutoCloseable {
  final Tensor dLogDecay;
  private final MemoryScope scope = new MemoryScope();
  private final Problem p;
  private final Tensor fused;
  private final Tensor dq;
  private final Tensor dk;
  private final Tensor dv;
  private final Tensor dInitial;

  BackwardRun(Problem p) {
    this(p, DType.F32);
  }

  /** With gradients of q, k and v of a type. */
  BackwardRun(Problem p, DType type) {
    this.p = p;
    long channels = p.q.size(3);
    fused = scope.allocate(type, p.fused.shape());
    dq = fused.narrow(3, 0, channels);
    dk = fused.narrow(3, channels, channels);
    dv = fused.narrow(3, 2 * channels, p.v.size(3));
    dInitial = scope.allocate(DType.F32, p.initial.shape());
    dLogDecay = scope.allocate(DType.F32, p.q.size(2));
  }

  void withDLogDecay(LightningAttention attention) {
    call(attention, p.dFinal, dLogDecay);
  }

  void call(LightningAttention attention, @Nullable Tensor dFinal, @Nullable Tensor dLog) {
    Gradients gradients =
        new Gradients(p.dOut).outDq(dq).outDkDv(dk, dv).outDInitialState(dInitial);
    if (dFinal != null) {
      gradients.dFinalState(dFinal);
    }
    if (dLog != null) {
      gradients.outDLogDecay(dLog);
    }
    attention.backward(
        new Prefill(p.q, p.k, p.v, p.decay, p.options, p.out).initialState(p.initial), gradients);
  }

  /** Holds the gradients against wider ones. */
  void assertClose(BackwardRun wider, double limit) {
    Rounded.assertClose("gradients", fused, wider.fused.toDoubles(), limit, 0);
    Rounded.assertClose("dInitial", dInitial, wider.dInitial.toDoubles(), limit, 0);
  }

  /** All gradients but the decay's. */
  double[] all() {
    double[] first = fused.toDoubles();
    double[] second = dInitial.toDoubles();
    double[] all = java.util.Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }

  /** Holds all gradients against the oracle's; options must be the default. */
  void assertOracle(double limit) {
    double[] expectedLog = new double[(int) p.q.size(2)];
    double[] typicalLog = new double[expectedLog.length];
    for (long b = 0; b < p.q.size(0); b++) {
      for (int h = 0; h < expectedLog.length; h++) {
        QuadraticForm.Gradient truth =
            p.oracle(b, h)
            .new Gradient(
                Problem.rows(Problem.head(p.dOut, b, h)),
                Problem.rows(Problem.state(p.dFinal, b, h)));
        String what = "T " + p.q.size(1) + " " + p.initial;
        check(what + " dq", Problem.head(dq, b, h), truth.dq, limit, p.v.size(3));
        check(what + " dk", Problem.head(dk, b, h), truth.dk, limit, p.v.size(3));
        check(what + " dv", Problem.head(dv, b, h), truth.dv, limit, p.q.size(3));
        check(what + " dS", Problem.state(dInitial, b, h), truth.dState, limit, 1);
        expectedLog[h] += truth.dLogDecay;
        typicalLog[h] += truth.typicalDLogDecay;
      }
    }
    double[] log = dLogDecay.toDoubles();
    for (int h = 0; h < log.length; h++) {
      double error = Math.abs(log[h] - expectedLog[h]);
      if (!(error <= 1e-6 * typicalLog[h])) {
        throw new AssertionError(
            "dLogDecay[" + h + "]: " + log[h] + ", expected " + expectedLog[h]);
      }
    }
  }

  private static void check(
      String what, Tensor actual, double[][] expected, double limit, double typical) {
    Rounded.assertClose(what, actual, Problem.flat(expected), limit, typical);
  }

  @Override
  public void close() {
    scope.close();
  }
}
