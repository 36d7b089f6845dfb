package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;

/** A mixture on a GPU, routed, with a gradient of its output and room for all others. */
final class CudaGradientScene implements AutoCloseable {
  /** fp32 sums, and now and then a gradient that they round to the other side. */
  private static final double LIMIT = 1e-7;

  final CudaScene scene;
  final Tensor x;
  final Tensor logits;
  final Tensor dOut;
  final CudaExpertGradients gradients;
  final Tensor scratch;

  CudaGradientScene(CudaScene scene, DType dx) {
    this.scene = scene;
    long experts = scene.weights.experts();
    long inner = scene.weights.intermediate();
    // rows that do not lie side by side
    x = wide(scene.x);
    dOut = wide(scene.scope.add(Cases.normal(7, DType.BF16, scene.tokens, scene.hidden)));
    logits = scene.up(scene.logits);
    gradients =
        new CudaExpertGradients(
            scene.gpu.allocate(dx, scene.tokens, scene.hidden + 8).narrow(1, 0, scene.hidden),
            scene.gpu.allocate(DType.F32, scene.tokens, scene.options.k()),
            scene.gpu.allocate(DType.F32, experts, inner, scene.hidden),
            scene.gpu.allocate(DType.F32, experts, inner, scene.hidden),
            scene.gpu.allocate(DType.F32, experts, scene.hidden, inner));
    scratch =
        scene.gpu.allocate(
            DType.F32,
            CudaMixtureBackward.scratchElements(scene.weights, scene.workspace, scene.tokens));
    forward();
  }

  private Tensor wide(Tensor host) {
    Tensor there =
        scene.gpu.allocate(DType.BF16, host.size(0), host.size(1) + 16).narrow(1, 8, host.size(1));
    for (long t = 0; t < host.size(0); t++) {
      scene.gpu.stream().copy(host.select(0, t), there.select(0, t));
    }
    return there;
  }

  void forward() {
    Tensor out = scene.gpu.allocate(DType.F32, scene.tokens, scene.hidden);
    scene.mixture().forward(x, logits, scene.options, null, scene.weights, scene.workspace, out);
  }

  CudaMixtureBackward operator() {
    return CudaMixtureBackward.on(scene.gpu.stream());
  }

  CudaGradientScene backward() {
    operator().experts(x, scene.weights, scene.workspace, dOut, scratch, gradients);
    return this;
  }

  /** dx, dWeight, dW1, dW3, dW2. */
  double[][] results() {
    return new double[][] {
      scene.gpu.doubles(gradients.outDx()),
      scene.gpu.doubles(gradients.outDWeight()),
      scene.gpu.doubles(gradients.outDGate()),
      scene.gpu.doubles(gradients.outDUp()),
      scene.gpu.doubles(gradients.outDDown())
    };
  }

  private static double[][] all(RoundedGradients of) {
    return new double[][] {of.dx, of.dWeight, of.dMatrices[0], of.dMatrices[1], of.dMatrices[2]};
  }

  void assertMatches(String what) {
    Router.of(Backend.REFERENCE)
        .route(scene.logits, scene.options, null, scene.index, scene.weight);
    double[] d = scene.gpu.doubles(dOut);
    double[][] rounded = all(new RoundedGradients(scene, d, true));
    double[][] exact = all(new RoundedGradients(scene, d, false));
    double[][] actual = results();
    String[] names = {"dx", "dWeight", "dW1", "dW3", "dW2"};
    for (int i = 0; i < names.length; i++) {
      boolean roundedOnce = i == 0 && gradients.outDx().dtype() == DType.BF16;
      double limit = roundedOnce ? 1e-5 : LIMIT;
      Closeness.assertNmse(what + " " + names[i], actual[i], rounded[i], limit);
      Closeness.assertNmse(what + " exact " + names[i], actual[i], exact[i], 2e-5);
    }
  }

  @Override
  public void close() {
    scene.close();
  }
}
