package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * How the experts of a layer lie on ranks.
 *
 * <pre>
 *   ranks = EP x ETP x EDP        rank = (edp rank x EP + ep rank) x ETP + etp rank
 *   EP    ranks share the E experts, E / EP on each
 *   ETP   ranks cut each expert along I: each has I / ETP rows of W1 and W3, and columns of W2
 *   EDP   repetitions of all that, each with tokens of its own
 * </pre>
 *
 * <p>Neighbouring ranks are ETP neighbours, as these exchange most. The three sizes are free of
 * each other and of how the rest of a model is split. Source: MiniMax-01 (arXiv 2501.08313).
 *
 * @param ep expert parallelism, at least 1
 * @param etp expert tensor parallelism, at least 1
 * @param edp expert data parallelism, at least 1
 */
public record ExpertParallelism(int ep, int etp, int edp) {
  /**
   * Checks the sizes.
   *
   * @throws IllegalArgumentException if one is below 1
   * @throws ArithmeticException if there are more ranks than an int counts
   */
  public ExpertParallelism {
    checkArgument(ep >= 1, "ep: expected >= 1, got %s", ep);
    checkArgument(etp >= 1, "etp: expected >= 1, got %s", etp);
    checkArgument(edp >= 1, "edp: expected >= 1, got %s", edp);
    Math.multiplyExact(Math.multiplyExact(ep, etp), edp);
  }

  /** Whole experts on so many ranks. */
  public static ExpertParallelism of(int ep) {
    return new ExpertParallelism(ep, 1, 1);
  }

  /** How many ranks there are, EP x ETP x EDP. */
  public int ranks() {
    return ep * etp * edp;
  }

  /** Which share of the experts a rank has, from 0 to EP - 1. */
  public int epRank(int rank) {
    return checked(rank) / etp % ep;
  }

  /** Which part of each expert a rank has, from 0 to ETP - 1. */
  public int etpRank(int rank) {
    return checked(rank) % etp;
  }

  /** Which repetition a rank belongs to, from 0 to EDP - 1. */
  public int edpRank(int rank) {
    return checked(rank) / (etp * ep);
  }

  private int checked(int rank) {
    return checkElementIndex(rank, ranks(), "rank");
  }

  /**
   * Checks that a layer can be cut so.
   *
   * @param experts E
   * @param intermediate I
   * @throws IllegalArgumentException naming the size that does not divide, and those that would
   */
  public void check(int experts, long intermediate) {
    if (experts % ep != 0) {
      int[] fit = IntStream.rangeClosed(1, experts).filter(n -> experts % n == 0).toArray();
      throw new IllegalArgumentException(
          String.format(
              "ep: expected a divisor of %d experts, got %d; these fit: %s",
              experts, ep, Arrays.toString(fit)));
    }
    checkTensorParallelism(intermediate);
  }

  private void checkTensorParallelism(long intermediate) {
    if (intermediate % etp != 0) {
      long[] fit =
          LongStream.rangeClosed(1, Math.min(intermediate, 64))
              .filter(n -> intermediate % n == 0)
              .toArray();
      throw new IllegalArgumentException(
          String.format(
              "etp: expected a divisor of the intermediate width %d, got %d; of those up to 64 these"
                  + " fit: %s",
              intermediate, etp, Arrays.toString(fit)));
    }
  }

  /** Refuses a number of ranks that is not EP x ETP x EDP. */
  void checkRanks(int size) {
    if (size != ranks()) {
      int each = ep * etp;
      throw new IllegalArgumentException(
          String.format(
              "world: expected ep x etp x edp = %d x %d x %d = %d ranks, got %d; %s",
              ep,
              etp,
              edp,
              ranks(),
              size,
              size % each == 0
                  ? "edp = " + size / each + " fits"
                  : "with this ep and etp a multiple of " + each + " fits"));
    }
  }

  /**
   * The experts of a rank as views of those of the layer, without a copy: experts {@code [r E / EP,
   * (r + 1) E / EP)} with r its {@link #epRank}, cut along I.
   *
   * @throws IllegalArgumentException as {@link #check}
   */
  public ExpertWeights shard(ExpertWeights all, int rank) {
    check(all.experts(), all.intermediate());
    int each = all.experts() / ep;
    int first = epRank(rank) * each;
    return shard(all, IntStream.range(first, first + each).toArray(), etpRank(rank));
  }

  /**
   * The same with the experts that a placement has on this rank, as GPU number {@link #epRank}.
   *
   * @throws IllegalArgumentException if the placement is of another number of experts or GPUs, or
   *     ETP does not divide I
   */
  public ExpertWeights shard(ExpertWeights all, int rank, ReplicaPlacement placement) {
    checkPlacement(placement, all.experts());
    checkTensorParallelism(all.intermediate());
    int[] logical = placement.physicalToLogical();
    int each = logical.length / ep;
    int first = epRank(rank) * each;
    return shard(all, Arrays.copyOfRange(logical, first, first + each), etpRank(rank));
  }

  void checkPlacement(ReplicaPlacement placement, int experts) {
    checkArgument(
        placement.experts() == experts,
        "placement: expected %s experts, got %s",
        experts,
        placement.experts());
    checkArgument(
        placement.gpus() == ep,
        "placement: expected ep = %s GPUs, got %s; make it for as many",
        ep,
        placement.gpus());
  }

  private ExpertWeights shard(ExpertWeights all, int[] experts, int part) {
    long width = all.intermediate() / etp;
    return new ExpertWeights(
        cut(all.gate(), experts, 0, part * width, width),
        cut(all.up(), experts, 0, part * width, width),
        cut(all.down(), experts, 1, part * width, width));
  }

  private static List<Tensor> cut(
      List<Tensor> weights, int[] experts, int dim, long from, long width) {
    return IntStream.of(experts).mapToObj(e -> weights.get(e).narrow(dim, from, width)).toList();
  }
}
