package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;

/** The attention of a layer: mixes the rows of each sequence with what came before them. */
interface AttentionLayer {
  /**
   * Runs over a batch and updates the state of its sequences.
   *
   * @param observer sees the inside
   * @param normed {@code [R, H]}
   * @param out {@code [R, H]}
   */
  void forward(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor normed, Tensor out);

  /** Moves the state on by the first {@code accepted} of the drafted tokens it last saw. */
  void commit(SequenceState state, HostDrafts drafts, int accepted);
}
