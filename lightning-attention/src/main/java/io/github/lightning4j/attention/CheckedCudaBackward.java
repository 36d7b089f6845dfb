package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.CudaBackwardCall;
import io.github.lightning4j.attention.internal.CudaLightningBackward;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import org.jspecify.annotations.Nullable;

/** {@link Gradients} of a pass on a GPU, checked. */
final class CheckedCudaBackward {
  private final CudaArguments arguments;
  private final CudaStream stream;
  private final Tensor q;
  private final Tensor k;
  private final Tensor v;
  private final @Nullable Tensor offsets;
  private final Gradients g;

  CheckedCudaBackward(
      CudaStream stream, Tensor q, Tensor k, Tensor v, @Nullable Tensor offsets, Gradients g) {
    this.arguments = new CudaArguments(stream);
    this.stream = stream;
    this.q = q;
    this.k = k;
    this.v = v;
    this.offsets = offsets;
    this.g = g;
  }

  /** The call. */
  CudaBackwardCall call(
      Tensor logDecay, Options options, @Nullable Tensor initialState, @Nullable Tensor scratch) {
    long sequences = arguments.inputs(q, k, v, logDecay, offsets);
    arguments.outputRows("dOut", g.dOut, q, v.shape());
    states("initialState", initialState, sequences);
    states("dFinalState", g.dFinalState, sequences);
    states("outDInitialState", g.outDInitialState, sequences);
    rows();
    decay(sequences, scratch);
    apart(logDecay, initialState, scratch);
    return new CudaBackwardCall(
        q,
        k,
        v,
        logDecay,
        options,
        initialState,
        offsets,
        g.dOut,
        g.dFinalState,
        g.outDq,
        g.outDk,
        g.outDv,
        g.outDInitialState,
        g.outDLogDecay,
        g.outDLogDecay == null ? null : scratch);
  }

  private void states(String name, @Nullable Tensor x, long sequences) {
    if (x != null) {
      arguments.states(name, x, q, v, sequences);
    }
  }

  private void rows() {
    checkArgument(
        (g.outDk == null) == (g.outDv == null),
        "outDk, outDv: expected both or neither, got %s and %s",
        g.outDk,
        g.outDv);
    checkArgument(
        g.outDq != null || g.outDk != null || g.outDInitialState != null,
        "gradients: expected at least one that is wanted: outDq, outDkDv or outDInitialState");
    Tensor first = g.outDq != null ? g.outDq : g.outDk;
    gradient("outDq", g.outDq, first, q);
    gradient("outDk", g.outDk, first, k);
    gradient("outDv", g.outDv, first, v);
  }

  private void gradient(
      String name, @Nullable Tensor gradient, @Nullable Tensor first, Tensor like) {
    if (gradient == null || first == null) {
      return;
    }
    arguments.outputRows(name, gradient, q, like.shape());
    checkArgument(
        gradient.dtype() == first.dtype(),
        "%s: expected dtype %s as the other gradients have, got %s",
        name,
        first.dtype(),
        gradient.dtype());
  }

  private void decay(long sequences, @Nullable Tensor scratch) {
    if (g.outDLogDecay == null) {
      return;
    }
    checkArgument(
        g.outDq != null && g.outDk != null,
        "outDLogDecay: needs the gradients of q, k and v too; give outDq and outDkDv");
    arguments.small("outDLogDecay", g.outDLogDecay, DType.F32, q.size(2));
    long least = CudaLightningBackward.scratchElements(k, v, sequences, offsets != null);
    checkArgument(
        scratch != null,
        "scratch: outDLogDecay needs %s floats of scratch memory (backwardScratchElements)",
        least);
    stream.check("scratch", scratch);
    Checks.dtype("scratch", scratch, DType.F32);
    Checks.rank("scratch", scratch, 1);
    Checks.contiguous("scratch", scratch);
    checkArgument(
        scratch.size(0) >= least && scratch.deviceAddress() % 16 == 0,
        "scratch: expected at least %s floats (backwardScratchElements) from a multiple of 16"
            + " bytes on, got %s",
        least,
        scratch);
  }

  private void apart(Tensor logDecay, @Nullable Tensor initialState, @Nullable Tensor scratch) {
    new Apartness()
        .input("q", q)
        .input("k", k)
        .input("v", v)
        .input("logDecay", logDecay)
        .input("initialState", initialState)
        .input("offsets", offsets)
        .input("dOut", g.dOut)
        .input("dFinalState", g.dFinalState)
        .output("outDq", g.outDq)
        .output("outDk", g.outDk)
        .output("outDv", g.outDv)
        .output("outDInitialState", g.outDInitialState)
        .output("outDLogDecay", g.outDLogDecay)
        .output("scratch", scratch)
        .check();
  }
}
