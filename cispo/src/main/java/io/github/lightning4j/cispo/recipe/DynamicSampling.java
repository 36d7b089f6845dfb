package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import java.util.ArrayList;
import java.util.List;

/**
 * Dynamic sampling: goes on asking for groups of responses until a batch is full of groups that
 * teach something (DAPO, arXiv 2503.14476, section 3.2). Not safe for use by several threads.
 *
 * @param <G> what the caller keeps of a group
 */
public final class DynamicSampling<G> {
  private final PassRateFilter filter;
  private final int wanted;
  private final int most;
  private final List<G> kept = new ArrayList<>();
  private int offered;

  /**
   * An empty batch.
   *
   * @param filter which groups count
   * @param wanted how many make a batch, {@code >= 1}
   * @param most after so many offers the batch is closed as it is, {@code >= wanted}: a model that
   *     solves everything, or nothing, would sample for ever
   */
  public DynamicSampling(PassRateFilter filter, int wanted, int most) {
    checkArgument(wanted >= 1, "wanted: expected >= 1, got %s", wanted);
    checkArgument(most >= wanted, "most: expected >= wanted = %s, got %s", wanted, most);
    this.filter = filter;
    this.wanted = wanted;
    this.most = most;
  }

  /**
   * Takes a group, or leaves it.
   *
   * @param rewards of its responses
   * @return whether it was kept
   * @throws IllegalArgumentException if the group is empty
   * @throws IllegalStateException if no more are wanted
   */
  public boolean offer(G group, double[] rewards) {
    checkState(wantsMore(), "the batch is closed: %s of %s groups kept", kept.size(), offered);
    boolean keeps = filter.keeps(rewards);
    offered++;
    if (keeps) {
      kept.add(group);
    }
    return keeps;
  }

  /** Whether to sample another group. */
  public boolean wantsMore() {
    return kept.size() < wanted && offered < most;
  }

  /** The groups kept, in the order they came. */
  public List<G> groups() {
    return List.copyOf(kept);
  }

  /** How many groups were offered: what the batch cost. */
  public int offered() {
    return offered;
  }
}
