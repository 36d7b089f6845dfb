package io.github.lightning4j.jmh.peer;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.jmh.peer.OneDnn.As;
import io.github.lightning4j.jmh.peer.OneDnn.Matrix;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Causal softmax attention on oneDNN: {@code out = softmax(q k^T / sqrt(D)) v}, each token over
 * itself and those before it. What a CPU user runs where there is no linear attention.
 *
 * <p>All tensors F32 {@code [H, T, D]} contiguous, the layout that suits it best. Blocks of {@value
 * #QUERIES} queries of a head meet all keys they may see in one product, oneDNN's softmax over the
 * rows, and a second product; so what is computed in vain is half a block a row. The work is spread
 * over heads and blocks, each on one thread of {@link Threads}. The gradient recomputes the
 * probabilities, as is usual, and goes head by head.
 */
public final class SoftmaxAttention implements AutoCloseable {
  /** Queries of a block: enough for a product to run at full speed. */
  static final int QUERIES = 64;

  private final int heads;
  private final int tokens;
  private final int size;
  private final int blocks;
  private final float scale;
  private final Queue<ScoreRows> opened = new ConcurrentLinkedQueue<>();
  private final ThreadLocal<ScoreRows> rows = ThreadLocal.withInitial(this::open);

  /**
   * For calls of one size.
   *
   * @throws IllegalStateException if oneDNN is not available
   */
  public SoftmaxAttention(int heads, int tokens, int size) {
    Gemm.oneDnn().ensure("softmax attention on oneDNN");
    this.heads = heads;
    this.tokens = tokens;
    this.size = size;
    this.blocks = (tokens + QUERIES - 1) / QUERIES;
    this.scale = (float) (1 / Math.sqrt(size));
  }

  private ScoreRows open() {
    ScoreRows opening = new ScoreRows(Math.min(QUERIES, tokens), tokens);
    opened.add(opening);
    return opening;
  }

  /** Computes {@code out}. */
  public void forward(Tensor q, Tensor k, Tensor v, Tensor out) {
    Threads.forRanges(
        (long) heads * blocks,
        1,
        (from, to) -> {
          for (long i = from; i < to; i++) {
            forward((int) (i / blocks), (int) (i % blocks), q, k, v, out);
          }
        });
  }

  /** Computes the gradients of q, k and v from that of {@code out}. */
  public void backward(
      Tensor q, Tensor k, Tensor v, Tensor dOut, Tensor outDq, Tensor outDk, Tensor outDv) {
    Threads.forRanges(
        heads,
        1,
        (from, to) -> {
          for (int h = (int) from; h < to; h++) {
            // The last block sees all keys, so it is the one that writes; the others add.
            for (int block = blocks - 1; block >= 0; block--) {
              backward(h, block, q, k, v, dOut, outDq, outDk, outDv);
            }
          }
        });
  }

  private void forward(int h, int block, Tensor q, Tensor k, Tensor v, Tensor out) {
    ScoreRows mine = rows.get();
    int first = block * QUERIES;
    int m = Math.min(QUERIES, tokens - first);
    int n = first + m;
    probabilities(mine, at(q, h, first), at(k, h, 0), m, n);
    Matrix p = mine.scores(n);
    OneDnn.multiply(As.STORED, p, As.STORED, at(v, h, 0), at(out, h, first), m, size, n, 1, 0);
  }

  private void probabilities(ScoreRows mine, Matrix q, Matrix k, int m, int n) {
    OneDnn.multiply(As.STORED, q, As.TRANSPOSED, k, mine.scores(n), m, n, size, scale, 0);
    mine.causalSoftmax(m, n);
  }

  private void backward(
      int h,
      int block,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor dOut,
      Tensor outDq,
      Tensor outDk,
      Tensor outDv) {
    ScoreRows mine = rows.get();
    int first = block * QUERIES;
    int m = Math.min(QUERIES, tokens - first);
    int n = first + m;
    float add = block == blocks - 1 ? 0 : 1;
    Matrix queries = at(q, h, first);
    Matrix keys = at(k, h, 0);
    Matrix g = at(dOut, h, first);
    probabilities(mine, queries, keys, m, n);
    Matrix p = mine.scores(n);
    Matrix ds = mine.gradients(n);
    OneDnn.multiply(As.TRANSPOSED, p, As.STORED, g, at(outDv, h, 0), n, size, m, 1, add);
    OneDnn.multiply(As.STORED, g, As.TRANSPOSED, at(v, h, 0), ds, m, n, size, 1, 0);
    mine.softmaxBackward(m, n);
    OneDnn.multiply(As.STORED, ds, As.STORED, keys, at(outDq, h, first), m, size, n, scale, 0);
    OneDnn.multiply(As.TRANSPOSED, ds, As.STORED, queries, at(outDk, h, 0), n, size, m, scale, add);
  }

  private Matrix at(Tensor tensor, long head, long token) {
    long element = (head * tokens + token) * size;
    return new Matrix(tensor.address() + element * DType.F32.bytes(), size);
  }

  /** Frees the scores. */
  @Override
  public void close() {
    opened.forEach(ScoreRows::close);
  }
}
