package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.internal.DisjointMemory;
import io.github.lightning4j.moe.internal.ExpertIndex;
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
    new DisjointMemory()
        .writes("out", out)
        .reads("x", x)
        .reads("index", index)
        .reads("weight", weight)
        .check();
    ExpertIndex.check(index, experts);
  }

  /** Beside what {@link #checkForward} does with {@code outDx} for its output. */
  void checkBackward(Tensor index, ParallelBackward.Call call, ExpertWeights plain) {
    checkTokens("dOut", call.dOut(), call.x());
    Checks.matrix("outDWeight", call.outDWeight(), DType.F32);
    Checks.shape("outDWeight", call.outDWeight(), call.weight().shape());
    checkGradients("outDGate", call.outDGate(), plain.gate());
    checkGradients("outDUp", call.outDUp(), plain.up());
    checkGradients("outDDown", call.outDDown(), plain.down());
    new DisjointMemory()
        .writes("outDx", call.outDx())
        .writes("outDWeight", call.outDWeight())
        .writes("outDGate", call.outDGate())
        .writes("outDUp", call.outDUp())
        .writes("outDDown", call.outDDown())
        .reads("x", call.x())
        .reads("index", index)
        .reads("weight", call.weight())
        .reads("dOut", call.dOut())
        .reads("gate", plain.gate())
        .reads("up", plain.up())
        .reads("down", plain.down())
        .check();
  }

  /** The weights, if they have gradients. */
  ExpertWeights trainable() {
    checkArgument(
        local instanceof ExpertWeights,
        "local: quantized experts have no gradients; train the ExpertWeights they were made from");
    return (ExpertWeights) local;
  }

  private static void checkGradients(String name, List<Tensor> gradients, List<Tensor> weights) {
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
    }
  }

  private void checkTokens(String name, Tensor tensor, Tensor x) {
    Checks.matrix(name, tensor, DType.F32);
    Checks.shape(name, tensor, x.size(0), local.hidden());
  }
}
