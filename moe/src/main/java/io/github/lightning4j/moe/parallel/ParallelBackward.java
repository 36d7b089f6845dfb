package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.comm.PendingTransfer;
import io.github.lightning4j.moe.internal.ExpertGradients;
import io.github.lightning4j.moe.internal.ExpertKernels;
import java.util.List;

/**
 * The gradients: tokens, the gradients of their outputs and their weights travel to the experts;
 * the gradients of tokens and weights travel back and are added where the tokens are.
 */
final class ParallelBackward {
  private final ExpertKernels kernels;
  private final Buffers buffers;

  ParallelBackward(ExpertKernels kernels, Buffers buffers) {
    this.kernels = kernels;
    this.buffers = buffers;
  }

  /** What the caller gave and wants, checked. */
  record Call(
      Tensor x,
      Tensor weight,
      Tensor dOut,
      Tensor outDx,
      Tensor outDWeight,
      List<Tensor> outDGate,
      List<Tensor> outDUp,
      List<Tensor> outDDown) {}

  void run(Call call, ExpertWeights local, int etp, TokenExchange exchange) {
    int k = (int) call.weight.size(1);
    long h = call.x.size(1);
    int rows = exchange.routes().rows();
    int here = exchange.arrivals().rows();
    Tensor sent = buffers.sent.take(DType.F32, rows, h);
    Tensor came = buffers.came.take(DType.F32, here, h);
    Tensor sentGradients = buffers.sentGradients.take(DType.F32, rows, h);
    Tensor cameGradients = buffers.cameGradients.take(DType.F32, here, h);
    Tensor sentShares = buffers.sentShares.take(DType.F32, rows, 1);
    Tensor cameShares = buffers.cameShares.take(DType.F32, here, 1);
    Tensor shares = column(call.weight);
    exchange.await(
        exchange.dispatch(0, call.x, k, sent, came),
        exchange.dispatch(0, call.dOut, k, sentGradients, cameGradients),
        exchange.dispatch(0, shares, 1, sentShares, cameShares));
    Tensor dRows = buffers.gradients.take(DType.F32, here, h);
    Tensor dShares = buffers.shareGradients.take(DType.F32, here, 1);
    buffers.plan.build(
        Buffers.ints(buffers.experts, exchange.arrivals().experts(), here, 1), local.experts());
    kernels.backward(
        came,
        local,
        buffers.plan,
        cameShares,
        cameGradients,
        new ExpertGradients(dRows, dShares, call.outDGate, call.outDUp, call.outDDown));
    PendingTransfer back = exchange.giveBack(0, dRows, sent);
    exchange.await(back, exchange.giveBack(0, dShares, sentShares));
    kernels.combine(sent, exchange.positions(), k * etp, null, call.outDx);
    kernels.combine(sentShares, exchange.positions(), etp, null, shares);
    call.outDWeight.copyFrom(shares.reshape(call.weight.shape()));
  }

  /** {@code [T, k]} as {@code [T k, 1]}, in memory that may be written. */
  private Tensor column(Tensor weight) {
    Tensor copy = buffers.shares.take(DType.F32, weight.shape());
    copy.copyFrom(weight);
    return copy.reshape(weight.elements(), 1);
  }
}
