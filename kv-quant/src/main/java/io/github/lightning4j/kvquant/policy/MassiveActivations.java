package io.github.lightning4j.kvquant.policy;

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
 * Finds the attention sinks of a prompt in one layer: the tokens of the k greatest magnitudes among
 * all elements of the layer's input hidden states. Several elements may belong to one token, so the
 * sinks are k at most.
 *
 * <p>Rows are fed as they come, in any chunks of ascending tokens; the result does not depend on
 * how they were cut. Among equal magnitudes the earlier token, then the lower channel goes first.
 * Cost: one pass over the rows and a heap of k.
 *
 * <p>Source: RotateKV, which has k = 20 and looks at prompts only.
 */
public final class MassiveActivations {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private record Activation(double magnitude, long token) {}

  private final int k;
  private final PriorityQueue<Activation> greatest =
      new PriorityQueue<>(
          Comparator.comparingDouble(Activation::magnitude)
              .thenComparing(Activation::token, Comparator.reverseOrder()));

  /**
   * Of one sequence and layer.
   *
   * @param k elements to look for
   * @throws IllegalArgumentException if k is negative
   */
  public MassiveActivations(int k) {
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
        addRow(elements, t * hidden.stride(0), hidden.size(1), first + t);
      }
    }
  }

  private void addRow(Elements elements, long at, long width, long token) {
    for (long i = 0; i < width; i++) {
      double magnitude = Math.abs(elements.get(at + i));
      if (!(magnitude <= Double.MAX_VALUE)) {
        throw new NonFiniteInputException("hidden", (int) i, (float) elements.get(at + i))
            .at("hidden", NonFiniteInputException.UNKNOWN, NonFiniteInputException.UNKNOWN, token);
      }
      if (greatest.size() < k) {
        greatest.add(new Activation(magnitude, token));
      } else if (k > 0 && magnitude > greatest.element().magnitude()) {
        greatest.remove();
        greatest.add(new Activation(magnitude, token));
      }
    }
  }

  /** The sinks found so far, ascending. */
  public long[] tokens() {
    return greatest.stream().mapToLong(Activation::token).distinct().sorted().toArray();
  }
}
