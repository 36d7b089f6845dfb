package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CudaAttention;
import io.github.lightning4j.kvquant.internal.CudaPrefill;
import io.github.lightning4j.kvquant.internal.CudaStore;
import java.util.EnumSet;
import java.util.Set;

/**
 * {@link CacheAttention} on a GPU, over a {@link CudaKvCache}: prompts and decode steps of many
 * sequences. Calls put kernels on a stream and return; tensors must stay open until these have
 * ended. Lengths and pages are read when kernels run, nothing is allocated and nothing waits, so a
 * call recorded in a graph serves every step.
 *
 * <p>What lies on the GPU is not looked at before: sequences must be -1 or below those of the
 * pages. A position without a page makes its row NaN. What NaN and infinity do is said at {@link
 * CacheAttention}.
 *
 * <p><b>Numerics.</b> Queries and weights are rounded to bf16, their products are summed in fp32,
 * the softmax is by running maximum: an error of about 1e-6 of the output (NMSE). Results are the
 * same bits always; they depend on how many rows are attended to at once, by the cuts in the
 * positions.
 *
 * <p><b>Cost.</b> Decode reads each key and value once for all query heads of its kv head, up to
 * eight; more heads read them again. A prompt costs {@code 4 headDim} operations for each query
 * head and visible key, on tensor cores.
 */
public final class CudaCacheAttention {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;

  private CudaCacheAttention(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaCacheAttention on(CudaStream stream) {
    return new CudaCacheAttention(stream);
  }

  /** Elements of scratch memory that {@link #decode} takes for so many rows and query heads. */
  public long scratchElements(CudaKvCache cache, long rows, long heads) {
    checkHeads(cache, heads);
    return CudaAttention.scratch(stream.device(), cache.open(), rows, heads);
  }

  /**
   * One query a row attends to its sequence up to its own position, whose key and value have been
   * appended.
   *
   * @param q queries {@code [B, heads, headDim]}, F32, BF16 or F16, turned to their positions
   *     already; {@code heads} a multiple of {@code kvHeads}; a dense last dimension
   * @param cache what they attend to
   * @param sequences {@code [B]} I32: the sequence of each row; -1 for none, whose output is zero
   * @param positions {@code [B]} I32: where each query stands
   * @param scale factor of the scores, usually {@code headDim^-0.5}; finite
   * @param scratch F32, {@link #scratchElements} or more, contiguous, from a multiple of 16 bytes
   *     on; nothing in it need be set
   * @param out {@code [B, heads, headDim]}, of the type of q or F32; a dense last dimension
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or an output overlaps
   *     something
   */
  public void decode(
      Tensor q,
      CudaKvCache cache,
      Tensor sequences,
      Tensor positions,
      float scale,
      Tensor scratch,
      Tensor out) {
    CudaStore store = cache.open();
    queries(q, cache, out, scale);
    CudaKvRows.decode(sequences, positions).check(stream.device().device(), q.size(0));
    checkScratch(scratch, CudaAttention.scratch(stream.device(), store, q.size(0), q.size(1)));
    apart("scratch", scratch, q, sequences, positions, out);
    apart("out", out, q, sequences, positions);
    if (q.size(0) > 0) {
      CudaAttention.decode(stream, store, q, sequences, positions, scale, scratch, out);
    }
  }

  private void checkScratch(Tensor scratch, long needed) {
    stream.check("scratch", scratch);
    Checks.dtype("scratch", scratch, DType.F32);
    Checks.rank("scratch", scratch, 1);
    Checks.contiguous("scratch", scratch);
    checkArgument(
        scratch.size(0) >= needed,
        "scratch: expected at least %s elements, got %s",
        needed,
        scratch.size(0));
    checkArgument(
        scratch.deviceAddress() % 16 == 0,
        "scratch: expected memory from a multiple of 16 bytes on, got %s",
        scratch);
  }

  /**
   * The tokens of pieces of prompts attend to their sequences, each up to its own position: to what
   * was there before and to their own pieces, whose keys and values have been appended. All of that
   * is read in pages of BF16.
   *
   * <p>A value of a piece that is not finite may show in results of tokens up to 128 before it as
   * well.
   *
   * @param q queries {@code [T, heads, headDim]}, as {@link #decode} takes them
   * @param cache what they attend to
   * @param rows where they belong; tokens outside all pieces have no output
   * @param scale as above
   * @param out {@code [T, heads, headDim]}, as above
   * @throws IllegalArgumentException as above
   */
  public void prefill(Tensor q, CudaKvCache cache, CudaKvRows rows, float scale, Tensor out) {
    CudaStore store = prompts(q, cache, rows, scale, out);
    if (q.size(0) > 0 && rows.count() > 0) {
      CudaPrefill.run(stream, store, q, rows, null, scale, null, out);
    }
  }

  /** Elements of scratch memory that a prompt behind quantized tokens takes; 0 for long ones. */
  public long promptScratchElements(CudaKvCache cache, long tokens, long heads) {
    checkHeads(cache, heads);
    return CudaPrefill.scratch(stream.device(), cache.open(), tokens, heads);
  }

  /**
   * As {@link #prefill}, behind quantized tokens. A token sees as quantized what had left the
   * window when its sequence was of its piece's aged length, which pages of BF16 need not hold any
   * more, and the tokens from there to its own position in those. Quantized tokens are restored
   * once for 128 rows (query heads of a kv head by neighbouring tokens).
   *
   * <p><b>Numerics.</b> Restored keys and values are rounded to bf16: an error of about 1e-5 of the
   * output (NMSE) with that of queries and weights.
   *
   * @param agedLengths {@code [n]} I32, n the pieces: how many tokens the sequence had when what
   *     the piece sees as quantized was {@linkplain CudaKvCache#age aged}; more than a token sees
   *     counts as what it sees. Nothing is made of it where the cache does not quantize
   * @param scratch F32, {@link #promptScratchElements} or more, contiguous, from a multiple of 16
   *     bytes on; nothing in it need be set
   */
  public void prefill(
      Tensor q,
      CudaKvCache cache,
      CudaKvRows rows,
      Tensor agedLengths,
      float scale,
      Tensor scratch,
      Tensor out) {
    CudaStore store = prompts(q, cache, rows, scale, out);
    new CudaKvRows(rows.sequences(), agedLengths, null)
        .check(stream.device().device(), rows.count());
    checkScratch(scratch, CudaPrefill.scratch(stream.device(), store, q.size(0), q.size(1)));
    apart("scratch", scratch, q, rows.sequences(), rows.starts(), agedLengths, out);
    apart("out", out, agedLengths);
    if (q.size(0) > 0 && rows.count() > 0) {
      CudaPrefill.run(stream, store, q, rows, agedLengths, scale, scratch, out);
    }
  }

  private CudaStore prompts(Tensor q, CudaKvCache cache, CudaKvRows rows, float scale, Tensor out) {
    CudaStore store = cache.open();
    queries(q, cache, out, scale);
    rows.check(stream.device().device(), q.size(0));
    apart("out", out, q, rows.sequences(), rows.starts());
    return store;
  }

  private void queries(Tensor q, CudaKvCache cache, Tensor out, float scale) {
    stream.check("q", q);
    Checks.dtype("q", q, TYPES);
    Checks.rank("q", q, 3);
    Checks.shape("q", q, q.size(0), q.size(1), cache.config().headDim());
    Checks.denseLast("q", q);
    checkHeads(cache, q.size(1));
    stream.check("out", out);
    Checks.dtype("out", out, EnumSet.of(q.dtype(), DType.F32));
    Checks.shape("out", out, q.shape());
    Checks.denseLast("out", out);
    checkArgument(Float.isFinite(scale), "scale: expected a finite factor, got %s", scale);
  }

  private static void checkHeads(CudaKvCache cache, long heads) {
    int kvHeads = cache.config().kvHeads();
    checkArgument(
        heads > 0 && heads % kvHeads == 0,
        "q: expected a multiple of %s kv heads, got %s heads",
        kvHeads,
        heads);
  }

  private static void apart(String name, Tensor tensor, Tensor... others) {
    for (Tensor other : others) {
      checkArgument(
          !Checks.overlap(tensor, other),
          "%s: expected memory of its own, got an overlap of %s with %s",
          name,
          tensor,
          other);
    }
  }
}
