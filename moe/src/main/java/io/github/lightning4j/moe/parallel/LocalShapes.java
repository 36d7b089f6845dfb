package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import java.util.List;

/**
 * What a rank may be asked for.
 *
 * @param experts E, of the whole layer
 * @param local the part of this rank
 */
record LocalShapes(int experts, Experts local) {
  void checkForward(Tensor x, Tensor index, Tensor weight, Tensor out) {
    checkTokens("x", x, x);
    Checks.matrix("index", index, DType.I32);
    Checks.shape("index", index, x.size(0), index.size(1));
    checkArgument(
        index.size(1) >= 1 && index.size(1) <= experts,
        "index: expected 1 <= k <= %s, got k = %s",
        experts,
        index.size(1));
    Checks.matrix("weight", weight, DType.F32);
    Checks.shape("weight", weight, index.shape());
    checkTokens("out", out, x);
    checkOutput("out", out, x, index, weight);
  }

  void checkBackward(
      Tensor x, Tensor index, Tensor weight, Tensor dOut, Tensor outDx, Tensor outDWeight) {
    checkTokens("dOut", dOut, x);
    Checks.matrix("outDWeight", outDWeight, DType.F32);
    Checks.shape("outDWeight", outDWeight, weight.shape());
    checkOutput("outDx", outDx, x, index, weight, dOut);
    checkOutput("outDWeight", outDWeight, x, index, weight, dOut, outDx);
  }

  /** The weights, if they have gradients. */
  ExpertWeights trainable() {
    checkArgument(
        local instanceof ExpertWeights,
        "local: quantized experts have no gradients; train the ExpertWeights they were made from");
    return (ExpertWeights) local;
  }

  void checkGradients(String name, List<Tensor> gradients, List<Tensor> weights) {
    checkArgument(
        gradients.size() == weights.size(),
        "%s: expected %s experts, got %s",
        name,
        weights.size(),
        gradients.size());
    for (int e = 0; e < weights.size(); e++) {
      String one = name + "[" + e + "]";
      Checks.matrix(one, gradients.get(e), DType.F32);
      Checks.shape(one, gradients.get(e), weights.get(e).shape());
      checkOutput(one, gradients.get(e), weights.get(e));
    }
  }

  private void checkTokens(String name, Tensor tensor, Tensor x) {
    Checks.matrix(name, tensor, DType.F32);
    Checks.shape(name, tensor, x.size(0), local.hidden());
  }

  private static void checkOutput(String name, Tensor out, Tensor... read) {
    Checks.writable(name, out);
    for (Tensor tensor : read) {
      checkArgument(
          !Checks.overlap(out, tensor),
          "%s: must not overlap what is read, got %s over %s",
          name,
          out,
          tensor);
    }
  }
}
