package io.github.lightning4j.cispo.head;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.cispo.internal.Targets;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.EnumSet;
import java.util.Set;

/**
 * Hidden states, the head, and the tokens asked for. Rows may have any stride, their elements lie
 * side by side. The record owns none of the tensors.
 *
 * @param hidden {@code [T, H]}, F32 or BF16: what the last norm of the model gives
 * @param head {@code [V, H]}, F32 or BF16: a row a word of the vocabulary
 * @param targets {@code [T]}, I32 or I64: the token that was sampled at each position, in {@code
 *     [0, V)}; checked here and again by each pass, which works on a copy
 * @param temperature divides the logits; that of the sampling, or ratios are wrong. {@code > 0}
 */
public record HeadInput(Tensor hidden, Tensor head, Tensor targets, double temperature) {
  private static final Set<DType> FLOATS = EnumSet.of(DType.F32, DType.BF16);
  private static final Set<DType> INTEGERS = EnumSet.of(DType.I32, DType.I64);

  /**
   * Checks types, shapes and targets.
   *
   * @throws IllegalArgumentException if one does not fit
   * @throws IllegalStateException if a tensor is closed
   */
  public HeadInput {
    Checks.matrix("hidden", hidden, FLOATS);
    Checks.matrix("head", head, FLOATS);
    Checks.shape("head", head, head.size(0), hidden.size(1));
    checkArgument(head.size(0) > 0, "head: expected a word or more, got none");
    checkArgument(head.size(1) > 0, "head: expected a hidden size >= 1, got 0");
    Checks.dtype("targets", targets, INTEGERS);
    Checks.shape("targets", targets, hidden.size(0));
    Checks.sameDevice("head", head, "hidden", hidden);
    Checks.sameDevice("targets", targets, "hidden", hidden);
    checkArgument(
        temperature > 0 && temperature < Double.POSITIVE_INFINITY,
        "temperature: expected a finite number > 0, got %s",
        temperature);
    Targets.copy(targets, head.size(0));
  }

  /** T. */
  public long tokens() {
    return hidden.size(0);
  }

  /** V. */
  public long vocabulary() {
    return head.size(0);
  }

  /** H. */
  public long width() {
    return hidden.size(1);
  }
}
