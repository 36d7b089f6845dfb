package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What the forward pass writes, and the backward pass reads again: {@code [T]} each, F32,
 * contiguous.
 *
 * @param logProb of the targets
 * @param logSumExp of the logits over the temperature
 * @param entropy of the distribution over the vocabulary; null if not wanted
 */
public record HeadOutput(Tensor logProb, Tensor logSumExp, @Nullable Tensor entropy) {
  /** Where entropies are not wanted. */
  public static HeadOutput of(Tensor logProb, Tensor logSumExp) {
    return new HeadOutput(logProb, logSumExp, null);
  }

  void check(HeadInput input) {
    check("logProb", logProb, input);
    check("logSumExp", logSumExp, input);
    if (entropy != null) {
      check("entropy", entropy, input);
    }
  }

  void checkWritable() {
    Checks.writable("logProb", logProb);
    Checks.writable("logSumExp", logSumExp);
    if (entropy != null) {
      Checks.writable("entropy", entropy);
    }
  }

  static void check(String name, Tensor tensor, HeadInput input) {
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, input.tokens());
    Checks.contiguous(name, tensor);
    Checks.sameDevice(name, tensor, "hidden", input.hidden());
  }
}
