package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.AttentionKernels;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.PagedStore;

/**
 * Causal softmax attention of the newest positions over a {@link KvCache}, with grouped queries.
 *
 * <pre>out[t, h] = sum_s p[s] v[s, g]      p = softmax over s of  scale * (q[t, h] . k[s, g])
 *
 * g = h / (heads / kvHeads),  s = 0 ... length - T + t
 * </pre>
 *
 * <p>The T queries stand at the last T positions of the cache, so their own keys and values are
 * appended first. T = 1 is decode, T = length is a whole prompt, anything between continues one.
 *
 * <p>Over a quantized cache the keys and values are those that the cache says it holds: tokens that
 * have left the window by the query's position as quantized, newer ones and sinks as they came.
 * Queries are in the basis in which keys came out of the rotary embedding, whatever the format does
 * to keys. On the CPU, heads whose groups of 2 bits are multiples of 32 channels are read in
 * integers, with queries of 8 bits and weights of 7: an error of about 5e-4 of the output (NMSE),
 * beside 0.1 of the format. Other affine groups that are whole heads take queries and weights in 16
 * bits: 3e-9.
 *
 * <p>Numerics: on the CPU fp32 products and sums, the softmax by running maximum; in the reference
 * doubles. A result depends on its query and the tokens it sees, bit for bit: not on how a prompt
 * was cut into calls, nor on the number of threads. A NaN in a query, or in a key that the query
 * sees, makes that output row NaN; so does a score of plus infinity, or scores that are all minus
 * infinity. A NaN in a visible value makes its channel NaN. Tokens that a query does not see have
 * no effect.
 *
 * <p>Cost: {@code 4 * headDim} operations for each query head and visible key. The floor of decode
 * is one read of the cache: up to 16 query heads of a kv head share it.
 */
public final class CacheAttention {
  private final AttentionKernels kernels;

  private CacheAttention(AttentionKernels kernels) {
    this.kernels = kernels;
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return KvQuantKernels.library().availability();
  }

  /** The fastest implementation of this machine. */
  public static CacheAttention best() {
    return of(KvQuantKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static CacheAttention of(Backend backend) {
    return new CacheAttention(AttentionKernels.of(backend));
  }

  /**
   * Attends.
   *
   * @param q queries {@code [T, heads, headDim]}, F32, rotated to their positions already; {@code
   *     heads} a multiple of {@code kvHeads}; a dense last dimension, other strides free
   * @param cache holds at least T tokens; the last T are the queries' own
   * @param scale factor of the scores, usually {@code headDim^-0.5}; finite
   * @param out {@code [T, heads, headDim]}, F32; a dense last dimension; must not overlap {@code q}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   * @throws IllegalStateException if the cache or a tensor is closed, or the cache has let go of
   *     first tokens that have not moved away
   */
  public void attend(Tensor q, KvCache cache, float scale, Tensor out) {
    PagedStore store = checkQueries(q, cache, cache.length(), scale, out);
    if (store.firstHeld() > 0) {
      throw new IllegalStateException(
          "cache: expected all its tokens, got one without the first "
              + store.firstHeld()
              + "; attend to the part that is left");
    }
    if (q.size(0) > 0) {
      kernels.attend(q, store, scale, out);
    }
  }

  /**
   * Attends to a part of the tokens that queries see, and merges what comes out into the result of
   * the parts before. Several calls over several caches give the attention over all their tokens:
   *
   * <pre>
   * l = log sum_s exp(scale * (q . k[s]))      o = attention over this part, from &lt;= s &lt; to
   *
   * out = (exp(logSum) out + exp(l) o) / (exp(logSum) + exp(l))      then  logSum = log of the divisor
   * </pre>
   *
   * <p>Before the first part {@code logSums} holds minus infinity, and {@code out} anything: it is
   * not read. A row that sees nothing of a part stays as it is. Which token has which position is
   * no matter here, so keys that the cache turns or centres itself are refused. Over a cache with a
   * window, a query reads as one at the position {@code to - 1} does.
   *
   * @param q queries {@code [T, heads, headDim]}, as {@link #attend} takes them
   * @param cache the part; T may be more than it holds
   * @param from the first token that each query sees, {@code [T]}, I64, dense; no less than that of
   *     the query before
   * @param to one past the last, likewise; {@code to <= from} sees none
   * @param scale factor of the scores
   * @param out {@code [T, heads, headDim]}, F32; read and written
   * @param logSums {@code [T, heads]}, F32, dense last dimension; read and written
   * @throws IllegalArgumentException if types, shapes, strides or numbers do not fit
   * @throws IllegalStateException if the cache or a tensor is closed
   */
  public void attendPart(
      Tensor q, KvCache cache, Tensor from, Tensor to, float scale, Tensor out, Tensor logSums) {
    PagedStore store = checkQueries(q, cache, Long.MAX_VALUE, scale, out);
    checkArgument(
        cache.config().keyBasis() == null,
        "cache: expected keys that do not depend on their position, got %s",
        cache.config().transform());
    checkBounds("from", from, q.size(0), store.firstHeld(), store.length());
    checkBounds("to", to, q.size(0), 0, store.length());
    Checks.matrix("logSums", logSums, DType.F32);
    Checks.shape("logSums", logSums, q.size(0), q.size(1));
    Checks.writable("logSums", logSums);
    checkArgument(!Checks.overlap(logSums, out), "logSums: must not overlap out");
    if (q.size(0) > 0) {
      kernels.attendPart(q, store, from, to, scale, out, logSums);
    }
  }

  private static void checkBounds(
      String name, Tensor bounds, long queries, long least, long length) {
    Checks.dtype(name, bounds, DType.I64);
    Checks.shape(name, bounds, queries);
    Checks.denseLast(name, bounds);
    Elements at = bounds.accessor();
    long atLeast = least;
    for (long t = 0; t < queries; t++) {
      long bound = at.getLong(t);
      checkArgument(
          bound >= atLeast && bound <= length,
          "%s[%s]: expected %s to %s (they rise, up to the length of the cache), got %s",
          name,
          t,
          atLeast,
          length,
          bound);
      atLeast = bound;
    }
  }

  private static PagedStore checkQueries(
      Tensor q, KvCache cache, long most, float scale, Tensor out) {
    PagedStore store = cache.open();
    Checks.dtype("q", q, DType.F32);
    Checks.rank("q", q, 3);
    if (q.size(2) != cache.headDim()) { // spelled out: a decode step allocates nothing
      Checks.shape("q", q, q.size(0), q.size(1), cache.headDim());
    }
    Checks.denseLast("q", q);
    checkArgument(
        q.size(1) > 0 && q.size(1) % cache.kvHeads() == 0,
        "q: expected a multiple of %s kv heads, got %s heads",
        cache.kvHeads(),
        q.size(1));
    checkArgument(
        q.size(0) <= most,
        "q: expected at most %s queries, the tokens of the cache, got %s",
        most,
        q.size(0));
    if (!Float.isFinite(scale)) {
      checkArgument(false, "scale: expected a finite factor, got %s", scale);
    }
    Checks.dtype("out", out, DType.F32);
    if (out.rank() != 3
        || out.size(0) != q.size(0)
        || out.size(1) != q.size(1)
        || out.size(2) != q.size(2)) {
      Checks.shape("out", out, q.shape());
    }
    Checks.denseLast("out", out);
    Checks.writable("out", out);
    Checks.sameDevice("out", out, "q", q);
    checkArgument(!Checks.overlap(out, q), "out: must not overlap q");
    return store;
  }
}
