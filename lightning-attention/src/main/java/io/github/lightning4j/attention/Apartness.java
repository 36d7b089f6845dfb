package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Outputs must be writable, share no element with an input or with one another, and have each of
 * their own elements to itself.
 */
final class Apartness {
  private record Named(String name, Tensor tensor) {}

  private final List<Named> inputs = new ArrayList<>();
  private final List<Named> outputs = new ArrayList<>();

  /** Something read; null is nothing. */
  Apartness input(String name, @Nullable Tensor tensor) {
    if (tensor != null) {
      inputs.add(new Named(name, tensor));
    }
    return this;
  }

  /** Something written; null is nothing. */
  Apartness output(String name, @Nullable Tensor tensor) {
    if (tensor != null) {
      outputs.add(new Named(name, tensor));
    }
    return this;
  }

  /**
   * Checks all of them.
   *
   * @throws IllegalArgumentException naming the first two that are not apart
   */
  void check() {
    for (int i = 0; i < outputs.size(); i++) {
      Named out = outputs.get(i);
      Checks.writable(out.name(), out.tensor());
      checkArgument(
          Overlap.isInjective(out.tensor()),
          "%s: expected elements that share no memory, got %s",
          out.name(),
          out.tensor());
      for (Named input : inputs) {
        apart(out, input);
      }
      for (Named other : outputs.subList(0, i)) {
        apart(out, other);
      }
    }
  }

  private static void apart(Named out, Named other) {
    checkArgument(
        !Overlap.possible(out.tensor(), other.tensor()),
        "%s: must not overlap %s; give it memory of its own",
        out.name(),
        other.name());
  }
}
