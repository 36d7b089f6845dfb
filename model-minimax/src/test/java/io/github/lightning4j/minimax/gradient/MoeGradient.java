package io.github.lightning4j.minimax.gradient;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.Router;
import java.util.ArrayList;
import java.util.List;

/** Backward of a mixture of experts: the operators' backward passes and the router's projection. */
final class MoeGradient {
  private final MiniMaxConfig config;
  private final Gradients gradients;
  private final Backend backend;
  private final String name;

  MoeGradient(MiniMaxConfig config, Gradients gradients, Backend backend, int layer) {
    this.config = config;
    this.gradients = gradients;
    this.backend = backend;
    this.name = "model.layers." + layer + ".block_sparse_moe.";
  }

  /**
   * The gradient of the normed input.
   *
   * @param auxGradient gradient of the balance loss with respect to this layer's router logits
   */
  double[] backward(double[] normed, double[] dOut, double[] auxGradient) {
    int hidden = config.hiddenSize();
    int k = config.experts().expertsPerToken();
    long rows = normed.length / hidden;
    Linear toLogits = gradients.linear(name + "gate.weight");
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Tensor.of(Gradients.floats(normed), rows, hidden));
      Tensor dy = scope.add(Tensor.of(Gradients.floats(dOut), rows, hidden));
      Tensor logits =
          scope.add(Tensor.of(Gradients.floats(toLogits.forward(normed)), rows, toLogits.out()));
      Tensor index = scope.allocate(DType.I32, rows, k);
      Tensor weight = scope.allocate(DType.F32, rows, k);
      Router.of(backend).route(logits, k, index, weight);
      Tensor dx = scope.allocate(DType.F32, rows, hidden);
      Tensor dWeight = scope.allocate(DType.F32, rows, k);
      experts(scope, x, index, weight, dy, dx, dWeight);
      Tensor dLogits = scope.allocate(DType.F32, rows, toLogits.out());
      Router.of(backend).backward(logits, index, dWeight, dLogits);
      double[] total = dLogits.toDoubles();
      Gradients.addTo(total, auxGradient);
      gradients.add(name + "gate.weight", toLogits.weightGradient(normed, total));
      double[] dn = dx.toDoubles();
      Gradients.addTo(dn, toLogits.inputGradient(total));
      return dn;
    }
  }

  private void experts(
      MemoryScope scope,
      Tensor x,
      Tensor index,
      Tensor weight,
      Tensor dy,
      Tensor dx,
      Tensor dWeight) {
    List<List<Tensor>> weights = List.of(tensors("w1"), tensors("w3"), tensors("w2"));
    List<List<Tensor>> found = new ArrayList<>();
    for (List<Tensor> matrices : weights) {
      found.add(matrices.stream().map(w -> scope.allocate(DType.F32, w.shape())).toList());
    }
    MixtureOfExperts.of(backend)
        .backward(
            x,
            new ExpertWeights(weights.get(0), weights.get(1), weights.get(2)),
            index,
            weight,
            dy,
            dx,
            dWeight,
            found.get(0),
            found.get(1),
            found.get(2));
    List<String> names = List.of("w1", "w3", "w2");
    for (int part = 0; part < names.size(); part++) {
      for (int e = 0; e < config.experts().experts(); e++) {
        gradients.add(matrix(e, names.get(part)), found.get(part).get(e).toDoubles());
      }
    }
  }

  private List<Tensor> tensors(String part) {
    List<Tensor> tensors = new ArrayList<>();
    for (int e = 0; e < config.experts().experts(); e++) {
      tensors.add(gradients.tensor(matrix(e, part)));
    }
    return tensors;
  }

  private String matrix(int expert, String part) {
    return name + "experts." + expert + "." + part + ".weight";
  }
}
