package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.PendingTransfer;
import io.github.lightning4j.moe.internal.ExpertKernels;
import java.util.Arrays;

/**
 * The way of one batch to the experts and back: first every rank tells every other how many rows
 * each of its experts gets, then rows move.
 */
final class TokenExchange {
  private final Communicator ranks;
  private final ExpertKernels kernels;
  private final Clock clock;
  private final Routes routes;
  private final Arrivals arrivals;
  private final Tensor pairs;
  private final Tensor positions;

  private TokenExchange(
      Communicator ranks,
      ExpertKernels kernels,
      Clock clock,
      Routes routes,
      Arrivals arrivals,
      Buffers buffers) {
    this.ranks = ranks;
    this.kernels = kernels;
    this.clock = clock;
    this.routes = routes;
    this.arrivals = arrivals;
    pairs = Buffers.ints(buffers.pairs, routes.pairs(), routes.rows());
    positions = Buffers.ints(buffers.positions, routes.positions(), routes.positions().length);
  }

  /**
   * Tells the other ranks what comes.
   *
   * @param clock notes how long it waits, now and later
   */
  static TokenExchange begin(
      Communicator ranks,
      ExpertKernels kernels,
      Routes routes,
      TokenGroups order,
      Buffers buffers,
      Clock clock) {
    long[] one = new long[order.ranks()];
    Arrays.fill(one, 1);
    Tensor to = Buffers.ints(buffers.countsTo, routes.counts(), order.ranks(), order.slots());
    Tensor from = buffers.countsFrom.take(DType.I32, order.ranks(), order.slots());
    clock.beginWait();
    ranks.allToAll(to, one, from, one);
    clock.endWait();
    return new TokenExchange(ranks, kernels, clock, routes, new Arrivals(from, order), buffers);
  }

  Routes routes() {
    return routes;
  }

  Arrivals arrivals() {
    return arrivals;
  }

  /** The row of each (pair, ETP rank) among those sent, I32; -1 if dropped. */
  Tensor positions() {
    return positions;
  }

  /**
   * Starts to send the rows of a token group.
   *
   * @param x {@code [T, n]} with k slots a row, or {@code [T k, n]} with one
   * @param sent {@code [rows, n]}, filled for this group
   * @param came {@code [rows, n]}, where the rows of this group arrive
   */
  PendingTransfer dispatch(int group, Tensor x, int slots, Tensor sent, Tensor came) {
    Tensor rows = routes.part(sent, group);
    kernels.gather(x, routes.part(pairs, group), slots, rows);
    return ranks.allToAllAsync(
        rows, routes.rowsTo(group), arrivals.part(came, group), arrivals.rowsFrom(group));
  }

  /** Starts to send the rows of a token group back to where they came from. */
  PendingTransfer giveBack(int group, Tensor came, Tensor sent) {
    return ranks.allToAllAsync(
        arrivals.part(came, group),
        arrivals.rowsFrom(group),
        routes.part(sent, group),
        routes.rowsTo(group));
  }

  /** Waits, and counts it as time spent on communication. */
  void await(PendingTransfer... transfers) {
    clock.beginWait();
    for (PendingTransfer transfer : transfers) {
      transfer.await();
    }
    clock.endWait();
  }
}
