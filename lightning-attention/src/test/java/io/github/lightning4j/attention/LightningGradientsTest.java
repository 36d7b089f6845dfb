package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.BackwardCall;
import io.github.lightning4j.attention.internal.PrefillCall;
import io.github.lightning4j.attention.internal.ReferenceLightning;
import io.github.lightning4j.attention.internal.Sequence;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gradients;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The reference's gradients against finite differences, all in double, and the native ones against
 * the reference's where SiLU and scale come in.
 */
final class LightningGradientsTest {
  private static final int T = 6;
  private static final int H = 2;
  private static final int DK = 3;
  private static final int DV = 4;
  private static final List<Sequence> ONE = List.of(new Sequence(0, 0, T, 0, 0));

  /** Where each input starts in the flat vector of all of them, and its shape. */
  private enum Input {
    Q(1, T, H, DK),
    K(1, T, H, DK),
    V(1, T, H, DV),
    STATE(1, H, DK, DV),
    LOG_DECAY(H);

    private final long[] shape;

    Input(long... shape) {
      this.shape = shape;
    }

    int size() {
      return (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    }

    int start() {
      return Arrays.stream(values()).limit(ordinal()).mapToInt(Input::size).sum();
    }

    Tensor of(double[] all, MemoryScope scope) {
      return scope.add(Tensor.of(Arrays.copyOfRange(all, start(), start() + size()), shape));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void referenceAgreesWithFiniteDifferences(boolean silu) {
    Options options = silu ? new Options(0.7f, true) : Options.DEFAULT;
    try (MemoryScope scope = new MemoryScope()) {
      double[] x = point();
      Tensor dOut = scope.add(Cases.normal(2, DType.F64, 1, T, H, DV));
      Tensor dFinal = scope.add(Cases.normal(3, DType.F64, 1, H, DK, DV));
      double[] gradient = new double[x.length];
      Tensor[] grads = new Tensor[Input.values().length];
      for (Input input : Input.values()) {
        grads[input.ordinal()] = scope.allocate(DType.F64, input.shape);
      }
      new ReferenceLightning()
          .backward(
              new BackwardCall(
                  Input.Q.of(x, scope),
                  Input.K.of(x, scope),
                  Input.V.of(x, scope),
                  Input.LOG_DECAY.of(x, scope),
                  options,
                  Input.STATE.of(x, scope),
                  dOut,
                  dFinal,
                  grads[0],
                  grads[1],
                  grads[2],
                  grads[3],
                  grads[4].reshape(1, H),
                  ONE));
      for (Input input : Input.values()) {
        double[] part = grads[input.ordinal()].toDoubles();
        System.arraycopy(part, 0, gradient, input.start(), part.length);
      }
      Gradients.assertMatches(
          "lightning", at -> loss(at, options, dOut, dFinal), x, gradient, 500, 1e-6);
    }
  }

  private static double[] point() {
    int size = Input.LOG_DECAY.start() + H;
    try (Tensor normal = Cases.normal(1, DType.F64, size)) {
      double[] x = normal.toDoubles();
      x[size - 2] = -0.7;
      x[size - 1] = -0.05;
      return x;
    }
  }

  /** {@code sum(out * dOut) + sum(finalState * dFinal)}. */
  private static double loss(double[] x, Options options, Tensor dOut, Tensor dFinal) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor state = Input.STATE.of(x, scope);
      Tensor out = scope.allocate(DType.F64, dOut.shape());
      new ReferenceLightning()
          .prefill(
              new PrefillCall(
                  Input.Q.of(x, scope),
                  Input.K.of(x, scope),
                  Input.V.of(x, scope),
                  out,
                  Input.LOG_DECAY.of(x, scope),
                  options,
                  state,
                  state,
                  null,
                  0,
                  ONE));
      return dot(out.toDoubles(), dOut.toDoubles()) + dot(state.toDoubles(), dFinal.toDoubles());
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  @Test
  void nativeGradientsThroughSiluAndScaleAgreeWithTheReference() {
    NativeKernels.assume();
    int[] channels = {3, 16, 33, 128};
    for (int i = 0; i < channels.length; i++) {
      int dk = channels[i];
      int dv = channels[(i + 1) % channels.length];
      try (Problem p = new Problem(i, 2, 70, dk, dv, new Options(0.25f, true), 0.84, 0.003);
          BackwardRun run = new BackwardRun(p);
          BackwardRun reference = new BackwardRun(p)) {
        run.withDLogDecay(LightningAttention.of(Backend.CPU));
        reference.withDLogDecay(LightningAttention.of(Backend.REFERENCE));
        Closeness.assertNmse("gradients", run.all(), reference.all(), 1e-11);
        // A few sums whose terms cancel; the contract holds them against the size of the terms.
        Closeness.assertNmse("dLogDecay", run.dLogDecay, reference.dLogDecay, 1e-9);
      }
    }
  }
}
