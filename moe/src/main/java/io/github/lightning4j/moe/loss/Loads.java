package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.SumOverRanks;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.internal.Rows;
import io.github.lightning4j.moe.internal.Sigmoid;
import io.github.lightning4j.moe.internal.Softmax;
import io.github.lightning4j.moe.internal.TokenMask;
import java.util.ArrayList;
import java.util.List;

/** The load of every layer and sequence of a batch. */
final class Loads {
  /** By layer and sequence. */
  final Load[][] cells;

  /** The sequence of each token; -1 for one that does not count. */
  final int[] sequenceOf;

  final int experts;
  final int slots;

  private Loads(RouterBatch batch) {
    experts = batch.experts();
    slots = batch.slots();
    long[] bounds = batch.bounds();
    sequenceOf = new int[batch.tokens()];
    boolean[] counted = TokenMask.of(batch.mask(), batch.tokens());
    for (int sequence = 0; sequence + 1 < bounds.length; sequence++) {
      for (int t = (int) bounds[sequence]; t < bounds[sequence + 1]; t++) {
        sequenceOf[t] = counted[t] ? sequence : -1;
      }
    }
    cells = new Load[batch.routerLogits().size()][bounds.length - 1];
  }

  /** Reads a batch. */
  static Loads of(RouterBatch batch, Score score) {
    Loads loads = new Loads(batch);
    for (int layer = 0; layer < loads.cells.length; layer++) {
      for (int sequence = 0; sequence < loads.cells[layer].length; sequence++) {
        loads.cells[layer][sequence] = new Load(loads.experts);
      }
      loads.read(layer, batch.routerLogits().get(layer), batch.index().get(layer), score);
    }
    return loads;
  }

  private void read(int layer, Tensor logits, Tensor index, Score score) {
    Elements chosen = index.accessor();
    for (int t = 0; t < sequenceOf.length; t++) {
      if (sequenceOf[t] < 0) {
        continue;
      }
      double[] row = Rows.get(logits, t);
      checkArgument(
          Softmax.defined(row),
          "routerLogits[%s], token %s: expected numbers below infinity, one of them finite",
          layer,
          t);
      Load load = cells[layer][sequenceOf[t]];
      for (int s = 0; s < slots; s++) {
        load.chosen[(int) chosen.getLong(t * index.stride(0) + s)]++;
      }
      double[] p = probabilities(row, score);
      for (int e = 0; e < experts; e++) {
        load.probability[e] += p[e];
      }
      double lse = Softmax.logSumExp(row);
      load.squaredLse += lse * lse;
      load.tokens++;
    }
  }

  /** What the balance loss takes for probabilities. */
  static double[] probabilities(double[] logits, Score score) {
    return score == Score.SIGMOID ? Sigmoid.shares(logits) : Softmax.probabilities(logits);
  }

  /** The sum over some layers and sequences. */
  Load sum(int fromLayer, int toLayer, int fromSequence, int toSequence) {
    List<Load> parts = new ArrayList<>();
    for (int layer = fromLayer; layer < toLayer; layer++) {
      parts.addAll(List.of(cells[layer]).subList(fromSequence, toSequence));
    }
    return Load.of(experts, parts);
  }

  Load layer(int layer) {
    return sum(layer, layer + 1, 0, cells[layer].length);
  }

  /** Tokens that count, of this rank. */
  long tokens() {
    return layer(0).tokens;
  }

  /** The squared logarithms of all layers, summed over the tokens that count. */
  double squaredLse() {
    double sum = 0;
    for (int layer = 0; layer < cells.length; layer++) {
      sum += layer(layer).squaredLse;
    }
    return sum;
  }

  /** Sequences that have a token that counts. */
  int liveSequences() {
    int live = 0;
    for (Load load : cells[0]) {
      live += load.tokens > 0 ? 1 : 0;
    }
    return live;
  }

  /**
   * Choices and tokens of each layer over all ranks; the probabilities are left out.
   *
   * @throws RankMismatchException if another rank has called {@link #refuse}
   */
  Load[] overRanks(SumOverRanks ranks) {
    long[] counts = counts(cells.length, experts);
    for (int layer = 0; layer < cells.length; layer++) {
      System.arraycopy(layer(layer).chosen, 0, counts, layer * experts, experts);
    }
    counts[counts.length - 1] = tokens();
    ranks.sum(counts);
    long refused = counts[counts.length - 2];
    if (refused > 0) {
      throw new RankMismatchException(
          refused + " of the ranks refused their batch, and tell why; no rank has a loss");
    }
    Load[] all = new Load[cells.length];
    for (int layer = 0; layer < all.length; layer++) {
      all[layer] = new Load(experts);
      System.arraycopy(counts, layer * experts, all[layer].chosen, 0, experts);
      all[layer].tokens = counts[counts.length - 1];
    }
    return all;
  }

  /** Takes part in the sum of the other ranks, so that none waits, and tells them to give up. */
  static void refuse(RouterBatch batch, SumOverRanks ranks) {
    long[] counts = counts(batch.routerLogits().size(), batch.experts());
    counts[counts.length - 2] = 1;
    ranks.sum(counts);
  }

  /** The choices by layer and expert, the ranks that refuse, the tokens. */
  private static long[] counts(int layers, int experts) {
    return new long[layers * experts + 2];
  }
}
