package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import org.jspecify.annotations.Nullable;

/**
 * What is to be chosen about {@link ParallelExperts} besides sizes. The same on every rank.
 *
 * @param tokenGroups how many groups the tokens are cut into, so that one travels while the experts
 *     work on another; 1, which is no overlap, to {@value #MOST_GROUPS}. A group has the tokens of
 *     some of a rank's experts; with more groups than experts on a rank each expert gets its tokens
 *     in several pieces and reads its weights as often
 * @param capacity how many tokens an expert takes of one EDP repetition; null to drop nothing
 * @param globalRouter whether what is over capacity in one EDP repetition goes to those with room,
 *     as {@link io.github.lightning4j.moe.balance.GlobalRouter} has it; needs a capacity
 * @param placement which experts lie where, its GPUs being the EP ranks of each repetition; null
 *     for neighbouring experts on one rank, each once
 */
public record ParallelOptions(
    int tokenGroups,
    @Nullable Capacity capacity,
    boolean globalRouter,
    @Nullable ReplicaPlacement placement) {
  /** The most token groups. */
  public static final int MOST_GROUPS = 64;

  /** One token group, no capacity, every expert once. */
  public static final ParallelOptions DEFAULT = new ParallelOptions(1, null, false, null);

  /**
   * Checks the options.
   *
   * @throws IllegalArgumentException if the number of token groups is out of range, or there is a
   *     global router without a capacity
   */
  public ParallelOptions {
    checkArgument(
        tokenGroups >= 1 && tokenGroups <= MOST_GROUPS,
        "tokenGroups: expected 1 to %s, got %s",
        MOST_GROUPS,
        tokenGroups);
    checkArgument(
        !globalRouter || capacity != null,
        "globalRouter: expected a capacity with it, got none; without one nothing is ever too much");
  }

  /** The same with another number of token groups. */
  public ParallelOptions withTokenGroups(int newTokenGroups) {
    return new ParallelOptions(newTokenGroups, capacity, globalRouter, placement);
  }

  /** The same with a capacity in each EDP repetition by itself. */
  public ParallelOptions withCapacity(Capacity newCapacity) {
    return new ParallelOptions(tokenGroups, newCapacity, false, placement);
  }

  /** The same with a capacity that EDP repetitions help each other to keep. */
  public ParallelOptions withGlobalRouter(Capacity newCapacity) {
    return new ParallelOptions(tokenGroups, newCapacity, true, placement);
  }

  /** The same with experts placed by measured load. */
  public ParallelOptions withPlacement(ReplicaPlacement newPlacement) {
    return new ParallelOptions(tokenGroups, capacity, globalRouter, newPlacement);
  }
}
