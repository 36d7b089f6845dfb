package io.github.lightning4j.moe;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.Arrays;
import java.util.List;

/** The gradients of a mixture for a random output gradient; they live as long as the mixture. */
final class MixtureGradients {
  final Tensor dOut;
  final Tensor dx;
  final Tensor dWeight;
  final List<Tensor> dGate;
  final List<Tensor> dUp;
  final List<Tensor> dDown;

  MixtureGradients(Mixture mixture, MixtureOfExperts experts) {
    this(mixture);
    run(mixture, experts);
  }

  /** Outputs full of sevens, so that what is not overwritten shows. */
  MixtureGradients(Mixture mixture) {
    dOut = mixture.scope.add(Cases.normal(5, DType.F32, mixture.x.shape()));
    dx = sevens(mixture, mixture.x);
    dWeight = sevens(mixture, mixture.weight);
    dGate = mixture.weights.gate().stream().map(w -> sevens(mixture, w)).toList();
    dUp = mixture.weights.up().stream().map(w -> sevens(mixture, w)).toList();
    dDown = mixture.weights.down().stream().map(w -> sevens(mixture, w)).toList();
  }

  private static Tensor sevens(Mixture mixture, Tensor like) {
    float[] values = new float[(int) like.elements()];
    Arrays.fill(values, 7);
    return mixture.scope.add(Tensor.of(values, like.shape()));
  }

  void run(Mixture mixture, MixtureOfExperts experts) {
    experts.backward(
        mixture.x,
        mixture.weights,
        mixture.index,
        mixture.weight,
        dOut,
        dx,
        dWeight,
        dGate,
        dUp,
        dDown);
  }
}
