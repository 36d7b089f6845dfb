package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.MixtureOfExperts;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Room for the gradients of some tokens and experts, full of sevens at first. */
final class Gradients {
  final Tensor dx;
  final Tensor dWeight;
  final List<Tensor> dGate;
  final List<Tensor> dUp;
  final List<Tensor> dDown;

  Gradients(Layer layer, Tensor x, Tensor weight, ExpertWeights weights) {
    dx = sevens(layer, x);
    dWeight = sevens(layer, weight);
    dGate = weights.gate().stream().map(w -> sevens(layer, w)).toList();
    dUp = new ArrayList<>(weights.up().stream().map(w -> sevens(layer, w)).toList());
    dDown = weights.down().stream().map(w -> sevens(layer, w)).toList();
  }

  private static Tensor sevens(Layer layer, Tensor like) {
    float[] values = new float[(int) like.elements()];
    Arrays.fill(values, 7);
    return layer.scope.add(Tensor.of(values, like.shape()));
  }

  /** The gradient of the outputs of all tokens. */
  static Tensor ofOutputs(Layer layer) {
    return layer.scope.add(Cases.normal(9, DType.F32, layer.x.shape()));
  }

  /** Those of a single rank with some of the tokens and all experts. */
  static Gradients single(Layer layer, Tensor x, DispatchPlan plan, Tensor weight, Tensor dOut) {
    Gradients all = new Gradients(layer, x, weight, layer.weights);
    MixtureOfExperts.best()
        .backward(
            x,
            layer.weights,
            plan,
            weight,
            dOut,
            all.dx,
            all.dWeight,
            all.dGate,
            all.dUp,
            all.dDown);
    return all;
  }

  void run(ParallelExperts experts, Tensor x, Tensor index, Tensor weight, Tensor dOut) {
    try (ParallelWorkspace workspace = new ParallelWorkspace()) {
      experts.backward(x, index, weight, dOut, workspace, dx, dWeight, dGate, dUp, dDown);
    }
  }
}
