package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/**
 * How far behind samples are: counts the updates of a policy, and ages samples by the version that
 * made them. MiniMax-M1 takes 16 updates of each batch, so ages go from 0 to 15. Safe for use by
 * several threads.
 */
public final class PolicyVersions {
  private final AtomicLong version = new AtomicLong();

  /** Starts at version 0. */
  public PolicyVersions() {}

  /** The version to stamp samples with that are made now. */
  public long current() {
    return version.get();
  }

  /** Tells that the policy was updated; returns its new version. */
  public long updated() {
    return version.incrementAndGet();
  }

  /**
   * How many updates ago each sample was made.
   *
   * @param versions one a sample
   * @throws IllegalArgumentException if there is none, or one is negative or yet to come
   */
  public Ages ages(long[] versions) {
    checkArgument(versions.length > 0, "versions: expected one or more, got none");
    long now = current();
    long[] ages = new long[versions.length];
    for (int i = 0; i < ages.length; i++) {
      checkArgument(
          versions[i] >= 0 && versions[i] <= now,
          "versions[%s]: expected 0 to %s, the current one, got %s",
          i,
          now,
          versions[i]);
      ages[i] = now - versions[i];
    }
    return new Ages(ages);
  }

  /**
   * Updates between the making of samples and now.
   *
   * @param each one a sample
   */
  public record Ages(long[] each) {
    /** Copies the array. */
    public Ages {
      each = each.clone();
    }

    @Override
    public long[] each() {
      return each.clone();
    }

    /** The oldest. */
    public long max() {
      return Arrays.stream(each).max().orElseThrow();
    }

    /** The mean; 0 is on-policy. */
    public double mean() {
      return Arrays.stream(each).average().orElseThrow();
    }

    /** Which samples are at most so old: a mask for those that are to be trained on. */
    public boolean[] atMost(long age) {
      boolean[] fresh = new boolean[each.length];
      for (int i = 0; i < fresh.length; i++) {
        fresh[i] = each[i] <= age;
      }
      return fresh;
    }
  }
}
