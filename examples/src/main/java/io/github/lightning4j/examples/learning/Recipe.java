package io.github.lightning4j.examples.learning;

import io.github.lightning4j.cispo.Cispo;
import io.github.lightning4j.cispo.ClippedSurrogate;
import io.github.lightning4j.cispo.PolicyLoss;
import java.util.List;

/**
 * A loss with its usual numbers.
 *
 * @param name as it is known
 * @param loss what is minimised
 */
public record Recipe(String name, PolicyLoss loss) {
  /** The three of the MiniMax-M1 paper's comparison; it did not publish CISPO's cap. */
  public static final List<Recipe> ALL =
      List.of(
          new Recipe("GRPO", ClippedSurrogate.grpo(0.2)),
          new Recipe("DAPO", ClippedSurrogate.dapo(0.2, 0.28)),
          new Recipe("CISPO", Cispo.maxWeight(5)));
}
