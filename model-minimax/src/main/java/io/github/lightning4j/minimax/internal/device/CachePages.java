package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvPages;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.kvquant.PageBytes;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The pages of the caches of all layers: of BF16, and where caches quantize, packed ones for tokens
 * that have left the window. A prompt that reads itself exactly lies in pages of BF16 until its
 * end.
 */
final class CachePages implements AutoCloseable {
  private static final int PAGE = CudaKvPages.PAGE_TOKENS;

  private final MemoryScope scope = new MemoryScope();
  private final CudaKvPages recent;
  private final @Nullable CudaKvPages aged;
  private final TokenPolicy tokens;
  private final long tokenBytes;

  /**
   * Pages for as many bytes as there may be; all of them are taken when {@link #cache caches} are
   * made. Packed ones get half of the bytes, and what those of BF16 have no use for: these hold one
   * prompt of the greatest length and the windows of all sequences.
   *
   * @param layers what the caches hold: all of them quantize, or none
   * @param maxTokens of a sequence
   */
  CachePages(
      CudaDevice device, List<KvCacheConfig> layers, int sequences, long maxTokens, long bytes) {
    boolean quantizes = layers.stream().anyMatch(layer -> layer.format() != null);
    this.tokens = quantizes ? layers.get(0).tokens() : TokenPolicy.NONE;
    long exact = 0;
    long packed = 0;
    for (KvCacheConfig layer : layers) {
      PageBytes of = PageBytes.of(layer);
      exact += of.exact();
      packed += of.packed();
    }
    long longest = pages(maxTokens);
    long all = longest * sequences;
    try {
      if (quantizes) {
        long windows = sequences * (pages(tokens.recentWindow() + tokens.flush()) + 1L);
        int first = count(bytes / 2 / exact, longest + windows);
        int second = count((bytes - first * exact) / packed, all);
        long each = Math.min(maxTokens, (first + (long) second) * PAGE);
        recent = scope.add(CudaKvPages.create(device, sequences, each, first));
        aged = scope.add(CudaKvPages.create(device, sequences, each, second));
        tokenBytes = packed / PAGE;
      } else {
        int count = count(bytes / Math.max(1, exact), all);
        long each = Math.min(maxTokens, (long) count * PAGE);
        recent = scope.add(CudaKvPages.create(device, sequences, each, count));
        aged = null;
        tokenBytes = exact / PAGE;
      }
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  private static long pages(long tokens) {
    return (tokens + PAGE - 1) / PAGE;
  }

  private static int count(long affordable, long useful) {
    return (int) Math.max(1, Math.min(affordable, Math.min(useful, Integer.MAX_VALUE / 64)));
  }

  /** The cache of a layer on these pages. */
  CudaKvCache cache(KvCacheConfig layer) {
    return aged == null
        ? CudaKvCache.create(recent, layer)
        : CudaKvCache.create(recent, aged, layer);
  }

  /** Whether tokens are quantized. */
  boolean quantizes() {
    return aged != null;
  }

  /** What becomes of tokens; that of no format where nothing is quantized. */
  TokenPolicy tokens() {
    return tokens;
  }

  /** Up to where tokens have left the window of a sequence of so many; 0 where none do. */
  long left(long length) {
    return aged == null ? 0 : tokens.left(length);
  }

  /**
   * Pages for a sequence of so many tokens.
   *
   * @throws PageBudgetException if there are too few; none is given out then
   */
  void reserve(int slot, long length) {
    if (length > recent.tokensEach()) {
      throw new PageBudgetException(
          length * tokenBytes, bytes(slot), recent.tokensEach() * tokenBytes);
    }
    if (aged != null && recent.fits(slot, length)) {
      aged.reserve(slot, left(length));
    }
    recent.reserve(slot, length);
  }

  /** Lets a new sequence share the pages that are full of so many tokens of another. */
  void share(int from, int to, long length) {
    recent.share(from, to, length);
    if (aged != null) {
      aged.share(from, to, left(length));
    }
  }

  /** Bytes of the pages full of tokens of so long a sequence that later ones leave as they are. */
  long lastingBytes(long length) {
    return (aged == null ? length : left(length)) / PAGE * PAGE * tokenBytes;
  }

  /** Lets go of pages of BF16 of tokens that have left the window. */
  void settle(int slot, long length) {
    if (aged != null) {
      recent.dropBefore(slot, left(length));
    }
  }

  /** Lets go of all pages of a sequence. */
  void release(int slot) {
    recent.release(slot);
    if (aged != null) {
      aged.release(slot);
    }
  }

  /** Sends what has changed, ahead of a step. */
  void publish(CudaStream stream) {
    recent.publish(stream);
    if (aged != null) {
      aged.publish(stream);
    }
  }

  /** Bytes of a sequence's pages. */
  long bytes(int slot) {
    return recent.bytes(slot) + packedBytes(slot);
  }

  /** Bytes of a sequence's packed pages. */
  long packedBytes(int slot) {
    return aged == null ? 0 : aged.bytes(slot);
  }

  @Override
  public void close() {
    scope.close();
  }
}
