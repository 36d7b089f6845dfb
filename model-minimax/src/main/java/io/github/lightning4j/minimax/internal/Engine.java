package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import java.util.List;

/** What runs the layers over batches of tokens, on the CPU or on a GPU. Thread-safe. */
public interface Engine extends AutoCloseable {
  /** What the layers remember of a new sequence. */
  SequenceMemory newMemory(CachePlan plan);

  /** The most sequences that there can be at once. */
  int mostSequences();

  /**
   * Runs the batch and gives the logits of the last row of each sequence, or of all its rows where
   * it is drafted.
   *
   * @param observer sees the inside; the final norm of the rows that have logits alone
   * @param outLogits an array of V for each of these rows
   */
  void lastLogits(TokenBatch batch, ForwardObserver observer, List<float[]> outLogits);

  /**
   * Whether the inside of passes can be seen.
   *
   * @throws IllegalArgumentException if not, and there is somebody to see it
   */
  void checkObserver(ForwardObserver observer);

  /** Room for drafted tokens of a sequence. */
  Drafts newDrafts();

  /**
   * Runs the batch and gives the logits of every row.
   *
   * @param observer sees the inside
   * @param outLogits {@code [R, V]} F32
   */
  void allLogits(TokenBatch batch, ForwardObserver observer, Tensor outLogits);

  /**
   * Moves a sequence on by the first of the tokens drafted last.
   *
   * @param accepted how many of them count
   */
  void commit(SequenceState state, Drafts drafts, int accepted);

  /** Frees scratch memory and what was made of the weights, which stay open. */
  @Override
  void close();
}
