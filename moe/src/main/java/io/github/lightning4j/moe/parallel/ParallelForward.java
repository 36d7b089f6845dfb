package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.comm.PendingTransfer;
import io.github.lightning4j.moe.internal.ExpertKernels;

/**
 * Tokens to the experts, through them, and back. All token groups set out at once; while the
 * experts work on one the next ones travel, and the answers of those before.
 */
final class ParallelForward {
  private final ExpertKernels kernels;
  private final Experts local;
  private final Buffers buffers;

  ParallelForward(ExpertKernels kernels, Experts local, Buffers buffers) {
    this.kernels = kernels;
    this.local = local;
    this.buffers = buffers;
  }

  void run(Tensor x, Tensor weight, int etp, int groups, TokenExchange exchange, Tensor out) {
    int k = (int) weight.size(1);
    Tensor sent = buffers.sent.take(DType.F32, exchange.routes().rows(), x.size(1));
    Tensor came = buffers.came.take(DType.F32, exchange.arrivals().rows(), x.size(1));
    Tensor experts = Buffers.ints(buffers.experts, exchange.arrivals().experts(), came.size(0), 1);
    PendingTransfer[] going = new PendingTransfer[groups];
    PendingTransfer[] coming = new PendingTransfer[groups];
    for (int group = 0; group < groups; group++) {
      going[group] = exchange.dispatch(group, x, k, sent, came);
    }
    for (int group = 0; group < groups; group++) {
      exchange.await(going[group]);
      answer(exchange.arrivals().part(experts, group), exchange.arrivals().part(came, group));
      coming[group] = exchange.giveBack(group, came, sent);
    }
    exchange.await(coming);
    Tensor shares = etp == 1 ? weight : repeated(weight, etp);
    kernels.combine(sent, exchange.positions(), k * etp, shares, out);
  }

  /** Replaces rows by what their experts answer. */
  private void answer(Tensor experts, Tensor rows) {
    if (rows.size(0) == 0) {
      return;
    }
    buffers.plan.build(experts, local.experts());
    Tensor answers = kernels.answers(rows, local, buffers.plan, buffers.scratch);
    Tensor order = buffers.order.fill(buffers.plan::putPositions, buffers.plan.size());
    kernels.gather(answers, order, 1, rows);
  }

  /** Each weight once for each part of its expert. */
  private Tensor repeated(Tensor weight, int times) {
    Tensor shares = buffers.shares.take(DType.F32, weight.size(0), weight.size(1) * times);
    Elements from = weight.accessor();
    Elements to = shares.accessor();
    for (long t = 0; t < weight.size(0); t++) {
      for (long s = 0; s < shares.size(1); s++) {
        to.set(t * shares.size(1) + s, from.get(t * weight.stride(0) + s / times));
      }
    }
    return shares;
  }
}
