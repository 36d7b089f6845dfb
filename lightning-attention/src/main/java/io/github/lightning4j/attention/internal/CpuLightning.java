package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The kernels of {@code lightning_forward_kernels.h} and {@code lightning_backward_kernels.h}. */
final class CpuLightning implements LightningKernels {
  @Override
  public void prefill(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor state,
      Tensor out,
      long from,
      long to) {
    for (long head = from; head < to; head++) {
      boolean done =
          AttentionKernels.prefill(
              tokens(q, head),
              q.stride(1),
              tokens(k, head),
              k.stride(1),
              tokens(v, head),
              v.stride(1),
              logDecay.accessor().get(head % q.size(2)),
              options.scale(),
              options.silu(),
              state(state, head),
              tokens(out, head),
              out.stride(1),
              q.size(1),
              q.size(3),
              v.size(3));
      check(done, q.size(3), v.size(3));
    }
  }

  @Override
  public void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor statePool,
      Tensor slots,
      Tensor out,
      long from,
      long to) {
    boolean done =
        AttentionKernels.decode(
            q.address(),
            q.stride(0),
            q.stride(1),
            k.address(),
            k.stride(0),
            k.stride(1),
            v.address(),
            v.stride(0),
            v.stride(1),
            logDecay.address(),
            options.scale(),
            options.silu(),
            statePool.address(),
            slots.address(),
            out.address(),
            out.stride(0),
            out.stride(1),
            q.size(1),
            q.size(2),
            v.size(2),
            from,
            to);
    check(done, q.size(2), v.size(2));
  }

  @Override
  public void backward(BackwardCall c, long from, long to) {
    for (long head = from; head < to; head++) {
      boolean done =
          AttentionKernels.backward(
              tokens(c.q(), head),
              c.q().stride(1),
              tokens(c.k(), head),
              c.k().stride(1),
              tokens(c.v(), head),
              c.v().stride(1),
              c.logDecay().accessor().get(head % c.q().size(2)),
              c.options().scale(),
              c.options().silu(),
              state(c.initialState(), head),
              tokens(c.dOut(), head),
              c.dOut().stride(1),
              state(c.dFinalState(), head),
              tokens(c.outDq(), head),
              c.outDq().stride(1),
              tokens(c.outDk(), head),
              c.outDk().stride(1),
              tokens(c.outDv(), head),
              c.outDv().stride(1),
              state(c.outDInitialState(), head),
              c.outDLogDecay() == null ? 0 : c.outDLogDecay().address() + 8 * head,
              c.q().size(1),
              c.q().size(3),
              c.v().size(3));
      check(done, c.q().size(3), c.v().size(3));
    }
  }

  /** The address of a head's first token in {@code [B, T, H, D]}. */
  private static long tokens(Tensor x, long head) {
    long heads = x.size(2);
    return x.address() + 4 * (head / heads * x.stride(0) + head % heads * x.stride(2));
  }

  /** The address of a head's state in contiguous {@code [B, H, Dk, Dv]}; 0 for null. */
  private static long state(@Nullable Tensor state, long head) {
    return state == null ? 0 : state.address() + 4 * head * state.size(2) * state.size(3);
  }

  private static void check(boolean done, long dk, long dv) {
    if (!done) {
      throw new OutOfNativeMemoryException(4 * dk * dv, Memory.liveBytes());
    }
  }
}
