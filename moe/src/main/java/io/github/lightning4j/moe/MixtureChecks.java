package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.DisjointMemory;
import io.github.lightning4j.moe.internal.ExpertGradients;
import java.util.List;

/** What {@link MixtureOfExperts} asks of its arguments. */
final class MixtureChecks {
  private MixtureChecks() {}

  static ExpertWeights trainable(Experts weights) {
    checkArgument(
        weights instanceof ExpertWeights,
        "weights: quantized experts have no gradients; pass the ExpertWeights they were made from");
    return (ExpertWeights) weights;
  }

  static void tokens(String name, Tensor tensor, Tensor x, Experts weights) {
    Checks.matrix(name, tensor, DType.F32);
    Checks.shape(name, tensor, x.size(0), weights.hidden());
    checkArgument(
        tensor.device().equals(weights.device()),
        "%s lives on %s but weights on %s; move one of them",
        name,
        tensor.device(),
        weights.device());
  }

  static void index(Tensor x, Experts weights, Tensor index) {
    Checks.matrix("index", index, DType.I32);
    Checks.shape("index", index, x.size(0), index.size(1));
    Checks.sameDevice("index", index, "x", x);
    checkArgument(
        index.size(1) >= 1 && index.size(1) <= weights.experts(),
        "index: expected 1 <= k <= %s, got k = %s",
        weights.experts(),
        index.size(1));
  }

  static void routing(Tensor x, Experts weights, DispatchPlan plan, Tensor weight) {
    if (plan.tokens() != x.size(0) || plan.experts() != weights.experts()) {
      throw new IllegalArgumentException(
          String.format(
              "plan: expected %s tokens and %s experts, got %s and %s; build it from this batch",
              x.size(0), weights.experts(), plan.tokens(), plan.experts()));
    }
    Checks.matrix("weight", weight, DType.F32);
    Checks.shape("weight", weight, plan.tokens(), plan.slots());
    Checks.sameDevice("weight", weight, "x", x);
  }

  /** That the output of a forward lies over no input. */
  static void output(Tensor out, Tensor x, Experts weights, Tensor weight) {
    Disjoint.check("out", out, "x", x);
    Disjoint.check("out", out, "weight", weight);
    if (weights instanceof ExpertWeights plain) { // quantized ones own their memory
      for (int e = 0; e < plain.experts(); e++) {
        Disjoint.check("out", out, "gate", plain.gate().get(e));
        Disjoint.check("out", out, "up", plain.up().get(e));
        Disjoint.check("out", out, "down", plain.down().get(e));
      }
    }
  }

  /** Shapes of gradients; that they lie over no input, and not over each other. */
  static void gradients(
      Tensor x, ExpertWeights weights, Tensor weight, Tensor dOut, ExpertGradients out) {
    tokens("dOut", dOut, x, weights);
    tokens("outDx", out.dx(), x, weights);
    Checks.matrix("outDWeight", out.dWeight(), DType.F32);
    Checks.shape("outDWeight", out.dWeight(), weight.shape());
    Checks.sameDevice("outDWeight", out.dWeight(), "x", x);
    gradients("outDGate", out.dGate(), weights.gate(), x);
    gradients("outDUp", out.dUp(), weights.up(), x);
    gradients("outDDown", out.dDown(), weights.down(), x);
    written(out)
        .reads("x", x)
        .reads("weight", weight)
        .reads("dOut", dOut)
        .reads("gate", weights.gate())
        .reads("up", weights.up())
        .reads("down", weights.down())
        .check();
  }

  /** That no gradient lies over the choice of experts. */
  static void apartFromIndex(Tensor index, ExpertGradients out) {
    written(out).reads("index", index).check();
  }

  private static DisjointMemory written(ExpertGradients out) {
    return new DisjointMemory()
        .writes("outDx", out.dx())
        .writes("outDWeight", out.dWeight())
        .writes("outDGate", out.dGate())
        .writes("outDUp", out.dUp())
        .writes("outDDown", out.dDown());
  }

  private static void gradients(
      String name, List<Tensor> gradients, List<Tensor> weights, Tensor x) {
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
      Checks.sameDevice(one, gradients.get(e), "x", x);
    }
  }
}
