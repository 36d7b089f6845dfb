package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.GoldenCase;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole layer, forward and backward, against data of independent implementations. */
abstract class GoldenContract {
  abstract Backend backend();

  @ParameterizedTest
  @ValueSource(strings = {"moe_e4", "moe_e32"})
  void routesAsTheGoldenData(String name) {
    try (Layer layer = new Layer(name)) {
      assertThat(layer.index.toLongs()).isEqualTo(layer.file.tensor("topk_index").toLongs());
      double[] expected = layer.file.tensor("topk_weight").toDoubles();
      Closeness.assertWithin("topk_weight", layer.weight.toDoubles(), expected, 1e-6);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"moe_e4", "moe_e32"})
  void answersAsTheGoldenData(String name) {
    try (Layer layer = new Layer(name);
        MoeWorkspace workspace = new MoeWorkspace()) {
      Tensor out = layer.scope.allocate(DType.F32, layer.x.shape());
      MixtureOfExperts.of(backend())
          .forward(layer.x, layer.weights, layer.index, layer.weight, workspace, out);
      layer.assertGolden("out", out.toDoubles());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"moe_e4", "moe_e32"})
  void differentiatesAsTheGoldenData(String name) {
    try (Layer layer = new Layer(name)) {
      Tensor dx = layer.scope.allocate(DType.F32, layer.x.shape());
      Tensor dWeight = layer.scope.allocate(DType.F32, layer.weight.shape());
      Tensor dGate = layer.scope.allocate(DType.F32, layer.file.tensor("w1").shape());
      Tensor dUp = layer.scope.allocate(DType.F32, layer.file.tensor("w3").shape());
      Tensor dDown = layer.scope.allocate(DType.F32, layer.file.tensor("w2").shape());
      MixtureOfExperts.of(backend())
          .backward(
              layer.x,
              layer.weights,
              layer.index,
              layer.weight,
              layer.file.tensor("dout"),
              dx,
              dWeight,
              Layer.each(dGate),
              Layer.each(dUp),
              Layer.each(dDown));
      Tensor dLogits = layer.scope.allocate(DType.F32, layer.logits.shape());
      Router.of(backend()).backward(layer.logits, layer.index, dWeight, dLogits);
      layer.assertGolden("dw1", dGate.toDoubles());
      layer.assertGolden("dw3", dUp.toDoubles());
      layer.assertGolden("dw2", dDown.toDoubles());
      layer.assertRouterPath(dLogits.toDoubles(), dx.toDoubles());
    }
  }

  /** The inputs of a case, its logits and routing computed by the backend under test. */
  private final class Layer implements AutoCloseable {
    final MemoryScope scope = new MemoryScope();
    final GoldenCase file;
    final Tensor x;
    final Tensor router;
    final ExpertWeights weights;
    final Tensor logits;
    final Tensor index;
    final Tensor weight;

    Layer(String name) {
      file = scope.add(new GoldenCase(GoldenContract.class, name));
      x = file.tensor("x");
      router = file.tensor("router_weight");
      weights =
          new ExpertWeights(
              each(file.tensor("w1")), each(file.tensor("w3")), each(file.tensor("w2")));
      logits = scope.allocate(DType.F32, file.size("T"), file.size("E"));
      index = scope.allocate(DType.I32, file.size("T"), file.size("K"));
      weight = scope.allocate(DType.F32, file.size("T"), file.size("K"));
      Gemm.of(backend()).multiply(x, router, logits);
      Router.of(backend()).route(logits, file.size("K"), index, weight);
    }

    static List<Tensor> each(Tensor stacked) {
      List<Tensor> parts = new ArrayList<>();
      for (long e = 0; e < stacked.size(0); e++) {
        parts.add(stacked.select(0, e));
      }
      return parts;
    }

    void assertGolden(String what, double[] actual) {
      Closeness.assertWithin(what, actual, file.tensor(what).toDoubles(), file.tolerance(what));
    }

    /** Adds what flows through the logits = x Wr^T: dx += dlogits Wr, dWr = dlogits^T x. */
    void assertRouterPath(double[] dLogits, double[] dx) {
      int experts = file.size("E");
      int hidden = file.size("H");
      double[] in = x.toDoubles();
      double[] wr = router.toDoubles();
      double[] dRouter = new double[experts * hidden];
      for (int t = 0; t < file.size("T"); t++) {
        for (int e = 0; e < experts; e++) {
          for (int h = 0; h < hidden; h++) {
            dx[t * hidden + h] += dLogits[t * experts + e] * wr[e * hidden + h];
            dRouter[e * hidden + h] += dLogits[t * experts + e] * in[t * hidden + h];
          }
        }
      }
      assertGolden("dx", dx);
      assertGolden("drouter", dRouter);
    }

    @Override
    public void close() {
      scope.close();
    }
  }
}
