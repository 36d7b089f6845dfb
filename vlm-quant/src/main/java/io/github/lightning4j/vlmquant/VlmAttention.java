package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.transform.Hadamard;

/**
 * Causal softmax attention of the newest positions over a {@link VlmCache}, with grouped queries.
 *
 * <pre>out[t, h] = sum_s p[s] v[s, g]      p = softmax over s of  scale * (q[t, h] . k[s, g])
 *
 * g = h / (heads / kvHeads),  s = 0 ... length - T + t
 * </pre>
 *
 * <p>Each class of tokens lies in a store of its own. Attention over a store gives an output and
 * the logarithm of the sum of its exponentials, and these give the weights with which the outputs
 * of all stores add up: {@link CacheAttention#attendPart}. Nothing is approximated by that.
 *
 * <p>Numerics: those of {@link CacheAttention}; one rotation of queries and of outputs in fp32 is
 * added. A result depends on its query and the tokens it sees, bit for bit: not on how the sequence
 * was cut into calls (windows to 256), nor on the number of threads, nor on other sequences.
 */
public final class VlmAttention {
  /**
   * Queries that are taken at once. Recent tokens are read from the first page that one of them
   * sees: so all that a query sees of them, with a window to 256, is in the first range of keys
   * (512) of the kernels, and the order of sums does not depend on how many tokens came with it.
   */
  private static final long CHUNK = 64;

  /** Places of recent tokens are counted from multiples of this. */
  private static final long PAGE = 64;

  private static final TokenClass[] CLASSES = TokenClass.values();

  private final CacheAttention attention;
  private final Hadamard hadamard;

  private VlmAttention(CacheAttention attention, Hadamard hadamard) {
    this.attention = attention;
    this.hadamard = hadamard;
  }

  /** The fastest implementation of this machine. */
  public static VlmAttention best() {
    return new VlmAttention(CacheAttention.best(), Hadamard.best());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static VlmAttention of(Backend backend) {
    return new VlmAttention(CacheAttention.of(backend), Hadamard.of(backend));
  }

  /**
   * Attends.
   *
   * @param q queries {@code [T, heads, headDim]}, F32, turned to their positions; {@code heads} a
   *     multiple of {@code kvHeads}; a dense last dimension, other strides free
   * @param cache holds at least T tokens; the last T are the queries' own
   * @param scale factor of the scores, usually {@code headDim^-0.5}; finite
   * @param out {@code [T, heads, headDim]}, F32; a dense last dimension; must not overlap {@code q}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   * @throws IllegalStateException if the cache or a tensor is closed
   */
  public void attend(Tensor q, VlmCache cache, float scale, Tensor out) {
    ClassStores stores = cache.stores();
    Checks.dtype("q", q, DType.F32);
    Checks.rank("q", q, 3);
    Checks.shape("q", q, q.size(0), q.size(1), cache.config().headDim());
    Checks.denseLast("q", q);
    checkArgument(
        q.size(1) > 0 && q.size(1) % cache.config().kvHeads() == 0,
        "q: expected a multiple of %s kv heads, got %s heads",
        cache.config().kvHeads(),
        q.size(1));
    checkArgument(
        q.size(0) <= cache.length(),
        "q: expected at most %s queries, the tokens of the cache, got %s",
        cache.length(),
        q.size(0));
    checkArgument(Float.isFinite(scale), "scale: expected a finite factor, got %s", scale);
    Checks.dtype("out", out, DType.F32);
    Checks.shape("out", out, q.shape());
    Checks.denseLast("out", out);
    Checks.writable("out", out);
    checkArgument(!Checks.overlap(out, q), "out: must not overlap q");
    for (long from = 0; from < q.size(0); from += CHUNK) {
      long count = Math.min(CHUNK, q.size(0) - from);
      long position = cache.length() - q.size(0) + from;
      attendChunk(
          q.narrow(0, from, count),
          stores,
          cache.ledger(),
          position,
          scale,
          out.narrow(0, from, count));
    }
  }

  private void attendChunk(
      Tensor q, ClassStores stores, TokenLedger ledger, long position, float scale, Tensor out) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor queries = RotatedRows.of(q, hadamard, scope);
      Tensor result = scope.allocate(DType.F32, q.shape());
      Tensor logSums = scope.allocate(DType.F32, q.size(0), q.size(1));
      fill(result, Double.NaN); // stays where no score is above minus infinity
      fill(logSums, Double.NEGATIVE_INFINITY);
      Tensor bounds = bounds(stores, ledger, position, q.size(0), scope);
      try (Recent recent = Recent.of(stores, ledger.border(position))) {
        for (TokenClass part : CLASSES) {
          KvCache store = part == TokenClass.RECENT ? recent.cache() : stores.of(part);
          if (store.length() > 0) {
            attention.attendPart(
                queries,
                store,
                bounds.select(0, part == TokenClass.RECENT ? 0 : CLASSES.length),
                bounds.select(0, part == TokenClass.RECENT ? CLASSES.length + 1 : part.ordinal()),
                scale,
                result,
                logSums);
          }
        }
      }
      RotatedRows.rotate(result, hadamard);
      out.copyFrom(result);
    }
  }

  /**
   * Recent tokens from 64 or less before those that a query sees. In decoding that is how they are
   * held; within a prompt it is a fork that has let go of the others.
   *
   * @param cache holds them
   * @param isFork whether it is to be closed
   */
  private record Recent(KvCache cache, boolean isFork) implements AutoCloseable {
    static Recent of(ClassStores stores, long position) {
      return stores.recentAt(position) < PAGE
          ? new Recent(stores.recent(), false)
          : new Recent(stores.recentFrom(position), true);
    }

    @Override
    public void close() {
      if (isFork) {
        cache.close();
      }
    }
  }

  /**
   * What each query sees: row 0 the first recent token, then by class the end of what it sees of
   * the store, then zeros, then one past the last recent token.
   */
  private static Tensor bounds(
      ClassStores stores, TokenLedger ledger, long position, long queries, MemoryScope scope) {
    Tensor bounds = scope.allocate(DType.I64, CLASSES.length + 2L, queries);
    Elements to = bounds.accessor();
    long border = ledger.border(position);
    long dropped = stores.recentAt(border) / PAGE * PAGE; // as recentFrom does
    long[] unseen = ledger.counts(border, ledger.left()); // settled, but not for this query
    for (long t = 0; t < queries; t++) {
      long next = ledger.border(position + t);
      for (; border < next; border++) {
        unseen[ledger.settled(border).ordinal()]--;
      }
      to.setLong(t, stores.recentAt(border) - dropped);
      for (TokenClass part : CLASSES) {
        if (part != TokenClass.RECENT) {
          long seen = stores.of(part).length() - unseen[part.ordinal()];
          to.setLong(part.ordinal() * queries + t, seen);
        }
      }
      to.setLong((CLASSES.length + 1) * queries + t, stores.recentAt(position + t + 1) - dropped);
    }
    return bounds;
  }

  private static void fill(Tensor tensor, double value) {
    Elements to = tensor.accessor();
    for (long i = 0; i < tensor.elements(); i++) {
      to.set(i, value);
    }
  }
}
