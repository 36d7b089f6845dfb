package io.github.lightning4j.minimax.gradient;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.Prefill;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.Dialect;

/** Backward of a lightning attention layer; the attention itself is the operator's backward. */
final class LightningGradient {
  private final MiniMaxConfig config;
  private final Gradients gradients;
  private final Backend backend;
  private final int layer;
  private final String name;

  LightningGradient(MiniMaxConfig config, Gradients gradients, Backend backend, int layer) {
    this.config = config;
    this.gradients = gradients;
    this.backend = backend;
    this.layer = layer;
    this.name = "model.layers." + layer + ".self_attn.";
  }

  /** The layer's output. */
  double[] forward(double[] normed) {
    double[] raw = gradients.linear(name + "qkv_proj.weight").forward(normed);
    double[] gate = gradients.linear(name + "output_gate.weight").forward(normed);
    RmsNorm norm = gradients.norm(name + "norm.weight", MiniMaxConfig.INNER_NORM_EPS);
    try (MemoryScope scope = new MemoryScope()) {
      Tensor qkv = scope.add(Tensor.of(Gradients.floats(silu(raw)), raw.length));
      double[] gated = norm.forward(attend(scope, qkv));
      for (int i = 0; i < gated.length; i++) {
        gated[i] /= 1 + Math.exp(-gate[i]);
      }
      return gradients.linear(name + "out_proj.weight").forward(gated);
    }
  }

  /** The gradient of the normed input, given that of the layer's output. */
  double[] backward(double[] normed, double[] dOut) {
    Linear toQkv = gradients.linear(name + "qkv_proj.weight");
    Linear toGate = gradients.linear(name + "output_gate.weight");
    Linear out = gradients.linear(name + "out_proj.weight");
    RmsNorm norm = gradients.norm(name + "norm.weight", MiniMaxConfig.INNER_NORM_EPS);
    double[] raw = toQkv.forward(normed);
    double[] gate = toGate.forward(normed);
    try (MemoryScope scope = new MemoryScope()) {
      Tensor qkv = scope.add(Tensor.of(Gradients.floats(silu(raw)), raw.length));
      double[] o = attend(scope, qkv);
      double[] rms = norm.forward(o);
      double[] gated = new double[rms.length];
      double[] dRms = new double[rms.length];
      double[] dGate = new double[rms.length];
      double[] dGated = out.inputGradient(dOut);
      for (int i = 0; i < rms.length; i++) {
        double s = 1 / (1 + Math.exp(-gate[i]));
        gated[i] = s * rms[i];
        dRms[i] = dGated[i] * s;
        dGate[i] = dGated[i] * rms[i] * s * (1 - s);
      }
      gradients.add(name + "out_proj.weight", out.weightGradient(gated, dOut));
      gradients.add(name + "output_gate.weight", toGate.weightGradient(normed, dGate));
      double[] dO = norm.backward(o, dRms, gradients.of(name + "norm.weight"));
      double[] dRaw = siluGradient(raw, attentionGradient(scope, qkv, dO));
      gradients.add(name + "qkv_proj.weight", toQkv.weightGradient(normed, dRaw));
      double[] dn = toQkv.inputGradient(dRaw);
      Gradients.addTo(dn, toGate.inputGradient(dGate));
      return dn;
    }
  }

  private double[] attend(MemoryScope scope, Tensor qkv) {
    Tensor out = scope.allocate(DType.F32, shape(qkv));
    LightningAttention.of(backend)
        .prefill(
            part(qkv, 0), part(qkv, 1), part(qkv, 2), decay(), Options.DEFAULT, state(scope), out);
    return out.toDoubles();
  }

  private double[] attentionGradient(MemoryScope scope, Tensor qkv, double[] dO) {
    Tensor dOut = scope.add(Tensor.of(Gradients.floats(dO), shape(qkv)));
    Tensor dQkv = scope.allocate(DType.F32, qkv.shape());
    LightningAttention.of(backend)
        .backward(
            new Prefill(part(qkv, 0), part(qkv, 1), part(qkv, 2), decay(), Options.DEFAULT, dOut),
            new io.github.lightning4j.attention.Gradients(dOut)
                .outDq(part(dQkv, 0))
                .outDkDv(part(dQkv, 1), part(dQkv, 2)));
    return dQkv.toDoubles();
  }

  private Tensor state(MemoryScope scope) {
    var sizes = config.attention();
    return scope.allocate(DType.F32, 1, sizes.heads(), sizes.headDim(), sizes.headDim());
  }

  private Decay decay() {
    int heads = config.attention().heads();
    int layers = config.layers().size();
    boolean original = config.dialect() == Dialect.ORIGINAL;
    double[] slopes = original ? Slopes.alibi(heads) : Slopes.geometric(heads);
    for (int i = 0; i < heads; i++) {
      slopes[i] *=
          original
              ? Slopes.layerFactor(layer, layers)
              : Slopes.layerFactorTransformers(layer, layers);
    }
    return Decay.ofSlopes(slopes);
  }

  private long[] shape(Tensor qkv) {
    var sizes = config.attention();
    return new long[] {1, qkv.elements() / (3L * sizes.width()), sizes.heads(), sizes.headDim()};
  }

  private Tensor part(Tensor qkv, int part) {
    var sizes = config.attention();
    long d = sizes.headDim();
    long row = 3L * sizes.width();
    return qkv.strided(part * d, shape(qkv), new long[] {qkv.elements(), row, 3 * d, 1});
  }

  private static double[] silu(double[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i] / (1 + Math.exp(-x[i]));
    }
    return y;
  }

  private static double[] siluGradient(double[] x, double[] dy) {
    double[] dx = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      double s = 1 / (1 + Math.exp(-x[i]));
      dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
    }
    return dx;
  }
}
