package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.function.LongPredicate;

/**
 * Finds the pivots of a prompt in one layer by massive activations of the residual stream, so that
 * no attention score is needed:
 *
 * <pre>score_t = max_c |X[t, c]|        pivots: the k tokens of the greatest scores
 * </pre>
 *
 * <p>X is the layer's input, which is the output of the block before it. Rows are fed as they come,
 * in any chunks of ascending tokens, and the result does not depend on how they were cut. Among
 * equal scores the earlier token goes first. Only prompts are searched: decoding adds none.
 *
 * <p>AKVQ-VL says that it finds pivots in this way, and that there are 15; its exact rule is not
 * published, this one is ours. Cost: one pass over the rows, and a heap of k.
 */
public final class PivotDetector {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private record Score(double magnitude, long token) {}

  private final int k;
  private final PriorityQueue<Score> greatest =
      new PriorityQueue<>(
          Comparator.comparingDouble(Score::magnitude)
              .thenComparing(Score::token, Comparator.reverseOrder()));

  /**
   * Of one sequence and layer.
   *
   * @param k the most pivots
   * @throws IllegalArgumentException if k is negative
   */
  public PivotDetector(int k) {
    checkArgument(k >= 0, "k: expected >= 0, got %s", k);
    this.k = k;
  }

  /** As {@link #add(Tensor, long, LongPredicate)} without padding. */
  public void add(Tensor hidden, long first) {
    add(hidden, first, token -> false);
  }

  /**
   * Looks at rows.
   *
   * @param hidden {@code [T, D]} F32, BF16 or F16: the residual stream before the layer's norm;
   *     dense last dimension
   * @param first the token of row 0
   * @param isPadding whether a token is padding; its row is not read
   * @throws NonFiniteInputException if a row holds NaN or an infinity
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void add(Tensor hidden, long first, LongPredicate isPadding) {
    Checks.matrix("hidden", hidden, TYPES);
    checkArgument(first >= 0, "first: expected >= 0, got %s", first);
    Elements elements = hidden.accessor();
    for (long t = 0; t < hidden.size(0); t++) {
      if (!isPadding.test(first + t)) {
        add(new Score(score(elements, t * hidden.stride(0), hidden.size(1), first + t), first + t));
      }
    }
  }

  private void add(Score score) {
    greatest.add(score);
    if (greatest.size() > k) {
      greatest.remove();
    }
  }

  private static double score(Elements elements, long at, long width, long token) {
    double most = 0;
    for (long i = 0; i < width; i++) {
      double magnitude = Math.abs(elements.get(at + i));
      if (!(magnitude <= Double.MAX_VALUE)) {
        throw new NonFiniteInputException("hidden", (int) i, (float) elements.get(at + i))
            .at("hidden", NonFiniteInputException.UNKNOWN, NonFiniteInputException.UNKNOWN, token);
      }
      most = Math.max(most, magnitude);
    }
    return most;
  }

  /** The pivots found so far, ascending. */
  public long[] pivots() {
    return greatest.stream().mapToLong(Score::token).sorted().toArray();
  }
}
