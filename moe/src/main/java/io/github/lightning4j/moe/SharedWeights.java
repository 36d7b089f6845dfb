package io.github.lightning4j.moe;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.EnumSet;
import java.util.List;

/**
 * The weights of a shared expert, which sees every token. The first three are of one element type,
 * F32, BF16 or F16, the coefficient of any of these; last dimensions are dense.
 *
 * @param gate W1, {@code [Is, H]}
 * @param up W3, {@code [Is, H]}
 * @param down W2, {@code [H, Is]}
 * @param coefficient {@code [1, H]}: sigmoid of its product with a token is the expert's share
 */
public record SharedWeights(Tensor gate, Tensor up, Tensor down, Tensor coefficient) {
  /**
   * Checks types and shapes.
   *
   * @throws IllegalArgumentException naming the tensor that does not fit
   */
  public SharedWeights {
    ExpertWeights expert = asExpert(gate, up, down);
    checkCoefficient(coefficient, expert.hidden());
    Checks.sameDevice("coefficient", coefficient, "gate", gate);
  }

  static void checkCoefficient(Tensor coefficient, long hidden) {
    Checks.matrix("coefficient", coefficient, EnumSet.of(DType.F32, DType.BF16, DType.F16));
    Checks.shape("coefficient", coefficient, 1, hidden);
  }

  /** The same as the only expert of a mixture. */
  ExpertWeights asExpert() {
    return asExpert(gate, up, down);
  }

  private static ExpertWeights asExpert(Tensor gate, Tensor up, Tensor down) {
    return new ExpertWeights(List.of(gate), List.of(up), List.of(down));
  }
}
