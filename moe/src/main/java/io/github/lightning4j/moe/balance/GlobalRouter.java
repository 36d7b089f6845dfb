package io.github.lightning4j.moe.balance;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity.Priority;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.internal.PairRanking;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The global router: what is over capacity in one expert-parallel group goes to groups with room.
 *
 * <p>Each of G groups holds all experts, each with the same capacity C. From the counts c[g][e] of
 * all groups, which an all-gather brings to every rank, every rank derives the same plan:
 *
 * <pre>
 *   overflow o_g = max(0, c_g - C)     slack s_g = max(0, C - c_g)       for each expert
 *   the i-th pair of all overflow, in the order of groups, takes the i-th place of all slack
 *   dropped = max(0, sum_g c_g - G C)                                    the least possible
 * </pre>
 *
 * <p>Within a group the C pairs of highest {@link Priority} stay, the next ones are sent, in the
 * order of the groups they go to, and the last are dropped. No group sends what it has room for, so
 * without overflow there are no transfers. Cost: G E steps. Immutable.
 *
 * <p>The idea is MiniMax-01's (arXiv 2501.08313); it does not print how pairs are assigned, and the
 * rule above is this suite's.
 */
public final class GlobalRouter {
  private final int[][] counts;
  private final int capacity;
  private final int[][] sent;
  private final int[][] received;
  private final List<Transfer> transfers = new ArrayList<>();

  /**
   * Pairs of an expert that one group sends to another.
   *
   * @param expert the expert
   * @param from the group that has them
   * @param to the group that computes them
   * @param pairs how many, at least 1
   */
  public record Transfer(int expert, int from, int to, int pairs) {}

  private GlobalRouter(int[][] counts, int capacity) {
    this.counts = counts;
    this.capacity = capacity;
    sent = new int[counts.length][counts[0].length];
    received = new int[counts.length][counts[0].length];
    for (int e = 0; e < counts[0].length; e++) {
      match(e);
    }
  }

  /**
   * Derives the plan.
   *
   * @param counts for each group the pairs that chose each expert, {@code [G][E]}, as {@link
   *     DispatchPlan#demand} tells them
   * @param capacity C, {@code >= 1}, as {@link io.github.lightning4j.moe.Capacity#limit} gives it
   * @throws IllegalArgumentException if there is no group or expert, groups differ in their number
   *     of experts, a count is negative, or the capacity is below 1
   */
  public static GlobalRouter of(int[][] counts, int capacity) {
    checkArgument(counts.length > 0, "counts: expected at least one group, got none");
    checkArgument(counts[0].length > 0, "counts[0]: expected at least one expert, got none");
    checkArgument(capacity >= 1, "capacity: expected >= 1, got %s", capacity);
    int[][] copy = new int[counts.length][];
    for (int g = 0; g < counts.length; g++) {
      checkArgument(
          counts[g].length == counts[0].length,
          "counts[%s]: expected %s experts, got %s",
          g,
          counts[0].length,
          counts[g].length);
      for (int e = 0; e < counts[g].length; e++) {
        checkArgument(
            counts[g][e] >= 0, "counts[%s][%s]: expected >= 0, got %s", g, e, counts[g][e]);
      }
      copy[g] = counts[g].clone();
    }
    return new GlobalRouter(copy, capacity);
  }

  private void match(int expert) {
    int to = 0;
    for (int from = 0; from < counts.length; from++) {
      int overflow = counts[from][expert] - capacity;
      while (overflow > 0 && to < counts.length) {
        int room = capacity - counts[to][expert] - received[to][expert];
        if (room <= 0) {
          to++;
          continue;
        }
        int pairs = Math.min(overflow, room);
        transfers.add(new Transfer(expert, from, to, pairs));
        sent[from][expert] += pairs;
        received[to][expert] += pairs;
        overflow -= pairs;
      }
    }
  }

  /** The number of groups G. */
  public int groups() {
    return counts.length;
  }

  /** The number of experts E. */
  public int experts() {
    return counts[0].length;
  }

  /** What is sent, ordered by expert, sender and receiver. */
  public List<Transfer> transfers() {
    return List.copyOf(transfers);
  }

  /** The pairs of a group's own that it sends away. */
  public int sent(int group, int expert) {
    check(group, expert);
    return sent[group][expert];
  }

  /** The pairs a group computes: at most C. */
  public int computed(int group, int expert) {
    check(group, expert);
    return Math.min(counts[group][expert], capacity) + received[group][expert];
  }

  /** The pairs of a group's own that nobody computes. */
  public int dropped(int group, int expert) {
    check(group, expert);
    return counts[group][expert] - kept(group, expert);
  }

  private int kept(int group, int expert) {
    return Math.min(counts[group][expert], capacity) + sent[group][expert];
  }

  /** The pairs of a group's own that somebody computes, for each expert: those that stay or go. */
  public int[] limits(int group) {
    checkElementIndex(group, groups(), "group");
    int[] limits = new int[experts()];
    Arrays.setAll(limits, e -> kept(group, e));
    return limits;
  }

  /**
   * Applies the plan to a group's own batch: drops what nobody computes, and tells where each other
   * pair is computed.
   *
   * @param group whose batch it is
   * @param index {@code [T, k]} I32, the experts chosen; must have the counts that were given
   * @param weight {@code [T, k]} F32, what ranks the pairs
   * @param priority which pairs stay and which are sent before others
   * @param outPlan built anew
   * @return for each position of {@code outPlan} the group that computes its pair
   * @throws IllegalArgumentException if types or shapes do not fit, a weight is NaN, or an expert
   *     was chosen by another number of pairs than {@code counts} said
   */
  public int[] dispatch(
      int group, Tensor index, Tensor weight, Priority priority, DispatchPlan outPlan) {
    outPlan.build(index, limits(group), priority, weight);
    for (int e = 0; e < experts(); e++) {
      checkArgument(
          outPlan.demand(e) == counts[group][e],
          "index: expected %s pairs of expert %s, as counts say, got %s",
          counts[group][e],
          e,
          outPlan.demand(e));
    }
    int[] pairs = new int[outPlan.kept()];
    Arrays.setAll(pairs, outPlan::pair);
    int[] destination = new int[pairs.length];
    Arrays.fill(destination, group);
    PairRanking ranking = new PairRanking(priority, weight, new long[outPlan.largest()]);
    int expert = -1;
    int next = 0;
    long[] ranked = {};
    for (Transfer transfer : transfers) {
      if (transfer.from() != group) {
        continue;
      }
      if (transfer.expert() != expert) {
        expert = transfer.expert();
        ranked = ranking.sorted(pairs, outPlan.offset(expert), outPlan.offset(expert + 1));
        next = capacity;
      }
      for (int i = 0; i < transfer.pairs(); i++) {
        destination[outPlan.position(PairRanking.pair(ranked[next++]))] = transfer.to();
      }
    }
    return destination;
  }

  private void check(int group, int expert) {
    checkElementIndex(group, groups(), "group");
    checkElementIndex(expert, experts(), "expert");
  }
}
