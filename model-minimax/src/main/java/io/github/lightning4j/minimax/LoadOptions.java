package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/**
 * How a model is loaded and run.
 *
 * @param backend the implementation of every operator; empty: what each chooses on this machine
 * @param cacheType the element type of key-value caches: F32 (the default; exact), BF16 or F16
 * @param checkWeights whether every weight is read and refused if it is NaN or infinite
 * @param prefillChunk tokens a prefill handles at once; bounds scratch memory, does not change
 *     results beyond rounding
 * @param weights how the weights are held; quantized ones are made while loading, tensor by tensor
 * @param placement where weights lie that are held as they are stored
 * @param progress told how far loading has come
 */
public record LoadOptions(
    Optional<Backend> backend,
    DType cacheType,
    boolean checkWeights,
    int prefillChunk,
    WeightFormats weights,
    WeightPlacement placement,
    ProgressListener progress) {
  private static final Set<DType> CACHE_TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  /** Best operators, F32 caches, unchecked weights as stored, chunks of 512, silent. */
  public static final LoadOptions DEFAULT =
      new LoadOptions(
          Optional.empty(),
          DType.F32,
          false,
          512,
          WeightFormats.STORED,
          WeightPlacement.AUTO,
          ProgressListener.NONE);

  /** Checks ranges. */
  public LoadOptions {
    checkArgument(
        CACHE_TYPES.contains(cacheType),
        "cacheType: expected one of %s, got %s",
        CACHE_TYPES,
        cacheType);
    checkArgument(prefillChunk >= 1, "prefillChunk: expected >= 1, got %s", prefillChunk);
  }

  /** All operators of one backend. */
  public LoadOptions withBackend(Backend forced) {
    return new LoadOptions(
        Optional.of(forced), cacheType, checkWeights, prefillChunk, weights, placement, progress);
  }

  /** Another element type for key-value caches. */
  public LoadOptions withCacheType(DType type) {
    return new LoadOptions(backend, type, checkWeights, prefillChunk, weights, placement, progress);
  }

  /** Whether to read every weight and refuse NaN and infinity. */
  public LoadOptions withCheckWeights(boolean check) {
    return new LoadOptions(backend, cacheType, check, prefillChunk, weights, placement, progress);
  }

  /** Another number of tokens for the chunks of a prefill. */
  public LoadOptions withPrefillChunk(int tokens) {
    return new LoadOptions(backend, cacheType, checkWeights, tokens, weights, placement, progress);
  }

  /** Weights held in other formats. */
  public LoadOptions withWeights(WeightFormats formats) {
    return new LoadOptions(
        backend, cacheType, checkWeights, prefillChunk, formats, placement, progress);
  }

  /** Weights that are held as they are stored in another place. */
  public LoadOptions withPlacement(WeightPlacement place) {
    return new LoadOptions(
        backend, cacheType, checkWeights, prefillChunk, weights, place, progress);
  }

  /** Somebody who wants to know how far loading has come. */
  public LoadOptions withProgress(ProgressListener listener) {
    return new LoadOptions(
        backend, cacheType, checkWeights, prefillChunk, weights, placement, listener);
  }
}
