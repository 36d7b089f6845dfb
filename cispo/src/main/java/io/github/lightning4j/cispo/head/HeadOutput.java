package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What the forward pass writes, and the backward pass reads again: {@code [T]} each, contiguous,
 * F32 but for {@code logSumExp}.
 *
 * @param logProb of the targets; of a probability near 1 its logarithm is as exact as that of any
 * @param logSumExp of the logits over the temperature, F64: of a log-sum-exp of a few hundred F32
 *     would keep no more than four digits of a probability
 * @param entropy of the distribution over the vocabulary; null if not wanted
 */
public record HeadOutput(Tensor logProb, Tensor logSumExp, @Nullable Tensor entropy) {
  /** Where entropies are not wanted. */
  public static HeadOutput of(Tensor logProb, Tensor logSumExp) {
    return new HeadOutput(logProb, logSumExp, null);
  }

  void check(HeadInput input) {
    check("logProb", logProb, input);
    check("logSumExp", logSumExp, DType.F64, input);
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
    check(name, tensor, DType.F32, input);
  }

  private static void check(String name, Tensor tensor, DType dtype, HeadInput input) {
    Checks.dtype(name, tensor, dtype);
    Checks.shape(name, tensor, input.tokens());
    Checks.contiguous(name, tensor);
    Checks.sameDevice(name, tensor, "hidden", input.hidden());
  }
}
