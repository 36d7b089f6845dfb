package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/** Rewards by the group of their response. */
final class Groups {
  private final double[] rewards;
  private final int[] group;
  private final int[] sizes;
  private final double[] sums;

  Groups(double[] rewards, int[] groups) {
    checkArgument(rewards.length > 0, "rewards: expected one or more, got none");
    checkArgument(
        groups.length == rewards.length,
        "groups: expected %s, one a reward, got %s",
        rewards.length,
        groups.length);
    for (int i = 0; i < rewards.length; i++) {
      checkFinite("rewards", i, rewards[i]);
      checkArgument(groups[i] >= 0, "groups[%s]: expected >= 0, got %s", i, groups[i]);
    }
    this.rewards = rewards;
    this.group = groups;
    int count = Arrays.stream(groups).max().orElseThrow() + 1;
    this.sizes = new int[count];
    this.sums = new double[count];
    for (int i = 0; i < rewards.length; i++) {
      sizes[groups[i]]++;
      sums[groups[i]] += rewards[i];
    }
  }

  static void checkFinite(String name, int index, double value) {
    if (!Double.isFinite(value)) {
      throw new IllegalArgumentException(
          name + "[" + index + "]: expected a finite number, got " + value);
    }
  }

  /** How many there are, with those that have no responses. */
  int count() {
    return sizes.length;
  }

  int size(int g) {
    return sizes[g];
  }

  double mean(int g) {
    return sums[g] / sizes[g];
  }

  /** Each reward less the mean of its group; exactly 0 where all of a group are equal. */
  double[] centred() {
    boolean[] differ = new boolean[sizes.length];
    double[] first = new double[sizes.length];
    Arrays.fill(first, Double.NaN);
    for (int i = 0; i < rewards.length; i++) {
      if (Double.isNaN(first[group[i]])) {
        first[group[i]] = rewards[i];
      }
      differ[group[i]] |= rewards[i] != first[group[i]];
    }
    double[] centred = new double[rewards.length];
    for (int i = 0; i < rewards.length; i++) {
      centred[i] = differ[group[i]] ? rewards[i] - mean(group[i]) : 0;
    }
    return centred;
  }

  int of(int response) {
    return group[response];
  }
}
