package io.github.lightning4j.moe.loss;

import java.util.List;

/**
 * What {@link AuxLoss#evaluate} found.
 *
 * @param values the value of each term in the order given, without its coefficient, for logs
 * @param total the sum of coefficient times value, which training adds to its loss
 */
public record LossValues(List<Double> values, double total) {
  /** Copies the list. */
  public LossValues {
    values = List.copyOf(values);
  }
}
