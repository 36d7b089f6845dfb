package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CudaTransfer;

/**
 * Takes a sequence of a {@link CudaKvCache} to the CPU and back: as tokens where the cache
 * quantizes nothing, else as a {@link CudaKvImage}. Every call waits for the GPU.
 */
public final class CudaKvTransfer {
  private final CudaStream stream;
  private final CudaKvCache cache;
  private final int sequence;

  private CudaKvTransfer(CudaStream stream, CudaKvCache cache, int sequence) {
    this.stream = stream;
    this.cache = cache;
    this.sequence = sequence;
  }

  /**
   * Transfers of one sequence.
   *
   * @throws IllegalArgumentException if there is no such sequence
   */
  public static CudaKvTransfer of(CudaStream stream, CudaKvCache cache, int sequence) {
    checkArgument(
        sequence >= 0 && sequence < cache.pages().sequences(),
        "sequence: expected 0 <= sequence < %s, got %s",
        cache.pages().sequences(),
        sequence);
    return new CudaKvTransfer(stream, cache, sequence);
  }

  /**
   * Copies the tokens of the sequence to the CPU.
   *
   * @param outK {@code [tokens, kvHeads, headDim]}, of any type, on the CPU; so many tokens the
   *     sequence has
   * @param outV as {@code outK}
   * @throws IllegalStateException if the cache quantizes; see {@link #download}
   * @throws IllegalArgumentException if shapes do not fit, or a page is missing
   */
  public void read(Tensor outK, Tensor outV) {
    exact(outK, outV).read(outK, outV);
  }

  /**
   * Makes tokens from the CPU, rounded to nearest even, those of the sequence.
   *
   * @param k as in {@link #read}; pages for so many tokens have been reserved
   * @param v as {@code k}
   * @throws IllegalStateException as there
   * @throws IllegalArgumentException as there
   */
  public void write(Tensor k, Tensor v) {
    exact(k, v).write(k, v);
  }

  private CudaTransfer exact(Tensor k, Tensor v) {
    KvCacheConfig config = cache.config();
    checkState(config.format() == null, "tokens of a cache that quantizes come as an image");
    Checks.rank("k", k, 3);
    Checks.shape("k", k, k.size(0), config.kvHeads(), config.headDim());
    Checks.shape("v", v, k.shape());
    return of(k.size(0));
  }

  /**
   * What the sequence holds in a cache that quantizes, to the bit.
   *
   * @param tokens of the sequence, {@linkplain CudaKvCache#age aged} as far as they must be
   * @param scope owns what is made
   * @throws IllegalArgumentException if a page is missing
   * @throws IllegalStateException if the cache quantizes nothing, or a key or value that should
   *     have been quantized was not finite
   */
  public CudaKvImage download(long tokens, MemoryScope scope) {
    return of(tokens).down(scope);
  }

  /**
   * Goes on from what {@link #download} gave; the sequence has {@linkplain CudaKvCache#begin begun}
   * and has pages.
   *
   * @param tokens as there
   * @throws IllegalArgumentException if the image was made with another configuration or for other
   *     tokens, or was damaged, or a page is missing
   * @throws IllegalStateException if the cache quantizes nothing
   */
  public void upload(long tokens, CudaKvImage image) {
    of(tokens).up(image);
  }

  private CudaTransfer of(long tokens) {
    return new CudaTransfer(
        stream,
        cache.open(),
        sequence,
        tokens,
        i -> cache.pages().page(sequence, i),
        i -> cache.packedPage(sequence, i));
  }
}
