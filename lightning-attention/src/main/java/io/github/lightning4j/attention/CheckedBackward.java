package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.BackwardCall;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** {@link Gradients} of a {@link Prefill}, checked. */
final class CheckedBackward {
  private CheckedBackward() {}

  /** The call, but for the gradient of the decay, which the facade adds up. */
  static BackwardCall of(Prefill p, Gradients g, boolean doubles) {
    checkArgument(
        p.norm == null,
        "norm: the backward pass starts at the bare outputs; leave the norm out and take dOut from"
            + " GatedRmsNorm.backward");
    checkArgument(
        !CheckedPrefill.sameMemory(p.initialState, p.finalState),
        "initialState: final states go over it; differentiate with a copy of the initial ones");
    CheckedPrefill forward = new CheckedPrefill(p, doubles);
    Tensor q = p.q;
    Tensor v = p.v;
    Arguments.outputRows("dOut", g.dOut, q, v.shape());
    Apartness apart =
        new Apartness()
            .input("q", q)
            .input("k", p.k)
            .input("v", v)
            .input("initialState", p.initialState)
            .input("offsets", p.offsets)
            .input("slots", p.slots)
            .input("dOut", g.dOut);
    checkArgument(
        (g.outDk == null) == (g.outDv == null),
        "outDk, outDv: expected both or neither, got %s and %s",
        g.outDk,
        g.outDv);
    Tensor type = g.outDq != null ? g.outDq : g.outDk;
    gradient("outDq", g.outDq, type, q, q.shape(), apart);
    gradient("outDk", g.outDk, type, q, q.shape(), apart);
    gradient("outDv", g.outDv, type, q, v.shape(), apart);
    states("dFinalState", g.dFinalState, p, p.finalState, forward);
    apart.input("dFinalState", g.dFinalState);
    states("outDInitialState", g.outDInitialState, p, p.initialState, forward);
    apart.output("outDInitialState", g.outDInitialState);
    if (g.outDLogDecay != null) {
      checkArgument(
          g.outDq != null && g.outDk != null,
          "outDLogDecay: needs the gradients of q, k and v too; give outDq and outDkDv");
      Checks.dtype("outDLogDecay", g.outDLogDecay, Arguments.stateType(q));
      Checks.shape("outDLogDecay", g.outDLogDecay, q.size(2));
      Checks.contiguous("outDLogDecay", g.outDLogDecay);
      Checks.sameDevice("outDLogDecay", g.outDLogDecay, "q", q);
      apart.output("outDLogDecay", g.outDLogDecay);
    }
    checkArgument(
        g.outDq != null || g.outDk != null || g.outDInitialState != null,
        "gradients: expected at least one that is wanted: outDq, outDkDv or outDInitialState");
    apart.check();
    return new BackwardCall(
        q,
        p.k,
        v,
        p.decay.tensor(),
        p.options,
        p.initialState,
        g.dOut,
        g.dFinalState,
        g.outDq,
        g.outDk,
        g.outDv,
        g.outDInitialState,
        null,
        forward.sequences);
  }

  private static void gradient(
      String name,
      @Nullable Tensor gradient,
      @Nullable Tensor first,
      Tensor q,
      long[] shape,
      Apartness apart) {
    if (gradient == null || first == null) {
      return;
    }
    Arguments.outputRows(name, gradient, q, shape);
    checkArgument(
        gradient.dtype() == first.dtype(),
        "%s: expected dtype %s as the other gradients have, got %s",
        name,
        first.dtype(),
        gradient.dtype());
    apart.output(name, gradient);
  }

  /** Gradients of states are indexed as the states are: by sequence, or by slot. */
  private static void states(
      String name,
      @Nullable Tensor gradient,
      Prefill p,
      @Nullable Tensor states,
      CheckedPrefill forward) {
    if (gradient == null) {
      return;
    }
    long entries = forward.sequences.size() + forward.skipped.size();
    if (p.slots != null) {
      checkArgument(
          states != null,
          "%s: slots index it as they index the states; give those to the forward pass",
          name);
      entries = states.size(0);
    }
    Arguments.states(name, gradient, p.k, p.v, entries);
  }
}
