package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.nio.FloatBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Random arguments of the gated norm and its gradients, in strided rows, to be changed by tests.
 */
final class NormCall implements AutoCloseable {
  static final float EPS = 0.1f;

  final MemoryScope scope = new MemoryScope();
  private final Tensor wideDx;
  private final Tensor wideDGate;
  Tensor x;
  @Nullable Tensor gate;
  Tensor weight;
  float eps = EPS;
  Tensor out;
  Tensor dOut;
  Tensor outDx;
  @Nullable Tensor outDGate;
  @Nullable Tensor outDWeight;

  NormCall(long seed, NormTypes types, long rows, long n) {
    x = scope.add(Cases.normal(seed, types.x(), rows, n + 5)).narrow(1, 2, n);
    gate = scope.add(Cases.normal(seed + 1, types.gate(), rows, n + 9)).narrow(1, 7, n);
    weight = scope.add(Cases.normal(seed + 2, types.weight(), n));
    dOut = scope.add(Cases.normal(seed + 3, types.out(), rows, n + 3)).narrow(1, 3, n);
    out = scope.allocate(types.out(), rows, n);
    wideDx = scope.allocate(types.x(), rows, n + 2);
    wideDGate = scope.allocate(types.gate(), rows, n + 2);
    outDx = wideDx.narrow(1, 1, n);
    outDGate = wideDGate.narrow(1, 1, n);
    outDWeight = scope.allocate(DType.F32, n);
  }

  void apply(GatedRmsNorm norm) {
    norm.apply(x, gate, weight, eps, out);
  }

  void backward(GatedRmsNorm norm) {
    norm.backward(x, gate, weight, eps, dOut, outDx, outDGate, outDWeight);
  }

  NormFormula.Gradients exact() {
    return NormFormula.exact().gradients(x, gate, weight, eps, dOut);
  }

  /** Holds the gradients against the formula. */
  void assertGradients(String what) {
    NormFormula.Gradients exact = exact();
    double[] naive = naive(x.dtype()).dx();
    double[] dx = outDx.toDoubles();
    NormTypes.assertClose(what + " dx", x.dtype(), dx, naive, exact.dx(), 0.1);
    if (gate != null && outDGate != null) {
      naive = naive(gate.dtype()).dGate();
      double[] dGate = outDGate.toDoubles();
      NormTypes.assertClose(what + " dGate", gate.dtype(), dGate, naive, exact.dGate(), 0);
    }
    if (outDWeight != null) {
      double[] dWeight = outDWeight.toDoubles();
      NormTypes.assertClose(what + " dWeight", DType.F32, dWeight, dWeight, exact.dWeight(), 0.1);
    }
  }

  private NormFormula.Gradients naive(DType type) {
    return NormTypes.naive(type).gradients(x, gate, weight, eps, dOut);
  }

  /** Nothing was written beside the rows. */
  void assertMargins() {
    for (Tensor wide : new Tensor[] {wideDx, wideDGate}) {
      assertThat(wide.narrow(1, 0, 1).toFloats()).containsOnly(0);
      assertThat(wide.narrow(1, wide.size(1) - 1, 1).toFloats()).containsOnly(0);
    }
  }

  /** All gradients, one after the other. */
  float[] results() {
    float[] dx = outDx.toFloats();
    float[] dGate = outDGate == null ? new float[0] : outDGate.toFloats();
    float[] dWeight = outDWeight == null ? new float[0] : outDWeight.toFloats();
    FloatBuffer all = FloatBuffer.allocate(dx.length + dGate.length + dWeight.length);
    return all.put(dx).put(dGate).put(dWeight).array();
  }

  @Override
  public void close() {
    scope.close();
  }
}
