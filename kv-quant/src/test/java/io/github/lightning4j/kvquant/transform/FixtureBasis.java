package io.github.lightning4j.kvquant.transform;

import io.github.lightning4j.core.testkit.GoldenCase;
import java.util.Arrays;

/** The basis of the numpy fixture. */
public final class FixtureBasis {
  private FixtureBasis() {}

  /** With the permutation that numpy found. */
  public static GroupedBasis of(GoldenCase golden) {
    return new GroupedBasis(
        golden.size("kv_heads"),
        golden.size("dim"),
        golden.size("group_heads"),
        order(golden, "permutation"));
  }

  static int[] order(GoldenCase golden, String name) {
    return Arrays.stream(golden.tensor(name).toDoubles()).mapToInt(i -> (int) i).toArray();
  }
}
