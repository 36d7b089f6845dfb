package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.policy.MassiveActivations;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** A prompt that a sequence with quantized caches reads. */
final class DevicePrompt {
  private final long start;
  private final boolean exact;
  private final @Nullable MassiveActivations[] greatest;

  /**
   * A prompt without tokens yet.
   *
   * @param start the position of its first token; sinks are found in what comes first only
   * @param exact whether its tokens read one another as they came, and are quantized at its end
   * @param layers with caches
   */
  DevicePrompt(long start, boolean exact, TokenPolicy tokens, int layers) {
    this.start = start;
    this.exact = exact;
    this.greatest = new MassiveActivations[layers];
    int k = tokens.massiveActivations();
    if (start == 0 && k > 0) {
      Arrays.setAll(greatest, layer -> new MassiveActivations(k));
    }
  }

  long start() {
    return start;
  }

  boolean exact() {
    return exact;
  }

  /** Whether sinks are looked for in a layer. */
  boolean looks(int layer) {
    return greatest[layer] != null;
  }

  /**
   * Looks at the greatest magnitudes {@code [T, k]} of what a layer gets.
   *
   * @throws NonFiniteInputException if they are not finite
   */
  void see(int layer, Tensor magnitudes, long first) {
    MassiveActivations of = greatest[layer];
    if (of != null) {
      try {
        of.add(magnitudes, first);
      } catch (NonFiniteInputException e) {
        int unknown = NonFiniteInputException.UNKNOWN;
        throw e.at(e.what(), layer, unknown, unknown);
      }
    }
  }

  /** The sinks of a layer, in which none are looked for any more. */
  int[] sinks(int layer) {
    MassiveActivations of = greatest[layer];
    greatest[layer] = null;
    return of == null
        ? new int[0]
        : Arrays.stream(of.tokens()).mapToInt(Math::toIntExact).toArray();
  }
}
