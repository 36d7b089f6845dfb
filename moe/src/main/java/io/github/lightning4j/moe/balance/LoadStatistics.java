package io.github.lightning4j.moe.balance;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import io.github.lightning4j.moe.DispatchPlan;
import java.util.Arrays;

/**
 * How many token-expert pairs each expert was chosen for and dropped, over one batch or the sum of
 * many. Load counts the choices before any dropping, so that a capacity does not hide an uneven
 * router. Immutable.
 */
public final class LoadStatistics {
  private final long[] load;
  private final long[] dropped;

  private LoadStatistics(long[] load, long[] dropped) {
    this.load = load;
    this.dropped = dropped;
  }

  /**
   * The statistics of one dispatch.
   *
   * @param plan of at least one expert
   * @throws IllegalArgumentException if the plan was never built
   */
  public static LoadStatistics of(DispatchPlan plan) {
    checkArgument(plan.experts() > 0, "plan: expected a plan that was built, got an empty one");
    long[] load = new long[plan.experts()];
    long[] dropped = new long[plan.experts()];
    for (int e = 0; e < load.length; e++) {
      load[e] = plan.demand(e);
      dropped[e] = plan.demand(e) - plan.count(e);
    }
    return new LoadStatistics(load, dropped);
  }

  /**
   * The sum of both, expert by expert: over ranks, or over the batches of a window.
   *
   * @throws IllegalArgumentException if the numbers of experts differ
   */
  public LoadStatistics plus(LoadStatistics other) {
    checkArgument(
        other.load.length == load.length,
        "other: expected %s experts, got %s",
        load.length,
        other.load.length);
    long[] loads = load.clone();
    long[] drops = dropped.clone();
    for (int e = 0; e < loads.length; e++) {
      loads[e] += other.load[e];
      drops[e] += other.dropped[e];
    }
    return new LoadStatistics(loads, drops);
  }

  /** The number of experts E. */
  public int experts() {
    return load.length;
  }

  /** The pairs that chose an expert, dropped or not. */
  public long load(int expert) {
    checkElementIndex(expert, load.length, "expert");
    return load[expert];
  }

  /** The loads of all experts as a new array, as {@link ReplicaPlacement} takes them. */
  public double[] loads() {
    return Arrays.stream(load).asDoubleStream().toArray();
  }

  /** The pairs that an expert dropped. */
  public long dropped(int expert) {
    checkElementIndex(expert, load.length, "expert");
    return dropped[expert];
  }

  /** Dropped pairs over all pairs, 0 to 1; 0 if there are none. */
  public double fractionDropped() {
    long total = total();
    return total == 0 ? 0 : (double) Arrays.stream(dropped).sum() / total;
  }

  /**
   * The entropy of the load in nats, {@code - sum_e s_e ln s_e} with s_e the share of expert e: ln
   * E where it is even, 0 where one expert has it all. Without any pair ln E.
   */
  public double entropy() {
    long total = total();
    if (total == 0) {
      return Math.log(load.length);
    }
    double entropy = 0;
    for (long pairs : load) {
      double share = (double) pairs / total;
      entropy -= share == 0 ? 0 : share * Math.log(share);
    }
    return entropy;
  }

  /** The largest load over the mean: 1 where it is even, E where one expert has it all. */
  public double maxToMean() {
    long total = total();
    return total == 0 ? 1 : (double) Arrays.stream(load).max().orElseThrow() * load.length / total;
  }

  private long total() {
    return Arrays.stream(load).sum();
  }

  @Override
  public String toString() {
    return String.format(
        "LoadStatistics[experts=%d, pairs=%d, max/mean=%.3f, entropy=%.3f of %.3f, dropped=%.2f %%]",
        load.length,
        total(),
        maxToMean(),
        entropy(),
        Math.log(load.length),
        100 * fractionDropped());
  }
}
