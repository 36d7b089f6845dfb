package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.HashMap;
import java.util.Map;

/**
 * Rewards by the group of their response. Works in units of a power of two for each group, so that
 * neither sums nor squares leave the range of doubles.
 */
final class Groups {
  /** Rewards that differ by no more units in the last place of the largest are the same reward. */
  private static final double SAME = 4;

  private final double[] rewards;
  private final Group[] of;

  /** One group: its responses, and the range and the sum of their rewards. */
  static final class Group {
    private int size;
    private double least = Double.POSITIVE_INFINITY;
    private double most = Double.NEGATIVE_INFINITY;
    private double scaledSum;

    int size() {
      return size;
    }

    /** The power of two by which rewards are divided. */
    int exponent() {
      return Math.getExponent(largest());
    }

    private double largest() {
      return Math.max(Math.abs(least), Math.abs(most));
    }

    boolean allEqual() {
      return most - least <= SAME * Math.ulp(largest());
    }
  }

  Groups(double[] rewards, int[] groups) {
    checkArgument(rewards.length > 0, "rewards: expected one or more, got none");
    checkArgument(
        groups.length == rewards.length,
        "groups: expected %s, one a reward, got %s",
        rewards.length,
        groups.length);
    this.rewards = rewards;
    this.of = new Group[rewards.length];
    Map<Integer, Group> byNumber = new HashMap<>();
    for (int i = 0; i < rewards.length; i++) {
      checkFinite("rewards", i, rewards[i]);
      checkArgument(groups[i] >= 0, "groups[%s]: expected >= 0, got %s", i, groups[i]);
      Group group = byNumber.computeIfAbsent(groups[i], number -> new Group());
      group.size++;
      group.least = Math.min(group.least, rewards[i]);
      group.most = Math.max(group.most, rewards[i]);
      of[i] = group;
    }
    for (int i = 0; i < rewards.length; i++) {
      of[i].scaledSum += Math.scalb(rewards[i], -of[i].exponent());
    }
  }

  static void checkFinite(String name, int index, double value) {
    if (!Double.isFinite(value)) {
      throw new IllegalArgumentException(
          name + "[" + index + "]: expected a finite number, got " + value);
    }
  }

  /** The group of a response. */
  Group of(int response) {
    return of[response];
  }

  /**
   * Each reward less the mean of its group, over {@code 2^exponent} of the group: within &plusmn;4;
   * exactly 0 where all of a group are equal.
   */
  double[] scaledCentred() {
    double[] centred = new double[rewards.length];
    for (int i = 0; i < rewards.length; i++) {
      Group g = of[i];
      centred[i] = g.allEqual() ? 0 : Math.scalb(rewards[i], -g.exponent()) - g.scaledSum / g.size;
    }
    return centred;
  }

  /** Each reward less the mean of its group; exactly 0 where all of a group are equal. */
  double[] centred() {
    double[] centred = scaledCentred();
    for (int i = 0; i < centred.length; i++) {
      centred[i] = Math.scalb(centred[i], of[i].exponent());
      checkFits(i, centred[i]);
    }
    return centred;
  }

  /** Refuses what became infinite on the way. */
  static void checkFits(int index, double advantage) {
    if (!Double.isFinite(advantage)) {
      throw new IllegalArgumentException(
          "rewards[" + index + "]: expected one whose distance from the others fits a double");
    }
  }
}
