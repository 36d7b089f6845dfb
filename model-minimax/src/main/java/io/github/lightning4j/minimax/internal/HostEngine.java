package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.Consumer;

/** Runs batches with the operators of the CPU; those of different threads side by side. */
public final class HostEngine implements Engine {
  private final MiniMaxConfig config;
  private final ForwardPass pass;

  /** Last in, first out: the next call of a session finds the step that was recorded for it. */
  private final ConcurrentLinkedDeque<Workspace> workspaces = new ConcurrentLinkedDeque<>();

  /** An engine over these weights with these operators. */
  public HostEngine(MiniMaxConfig config, ModelWeights weights, Operators operators) {
    this.config = config;
    this.pass = new ForwardPass(config, weights, operators);
  }

  @Override
  public SequenceMemory newMemory(CachePlan plan) {
    return HostMemory.empty(config, plan);
  }

  @Override
  public int mostSequences() {
    return Integer.MAX_VALUE;
  }

  @Override
  public void checkObserver(ForwardObserver observer) {}

  @Override
  public Drafts newDrafts() {
    return new HostDrafts(config);
  }

  @Override
  public void lastLogits(TokenBatch batch, ForwardObserver observer, List<float[]> outLogits) {
    withWorkspace(workspace -> pass.lastLogits(batch, workspace, observer, outLogits));
  }

  @Override
  public void allLogits(TokenBatch batch, ForwardObserver observer, Tensor outLogits) {
    withWorkspace(workspace -> pass.allLogits(batch, workspace, observer, outLogits));
  }

  @Override
  public void commit(SequenceState state, Drafts drafts, int accepted) {
    pass.commit(state, (HostDrafts) drafts, accepted);
  }

  /** Whether the last batch ran as a recorded step, where one thread runs batches. */
  public boolean isRecorded() {
    return !workspaces.isEmpty() && workspaces.peekFirst().isRecorded();
  }

  private void withWorkspace(Consumer<Workspace> work) {
    Workspace workspace = workspaces.pollFirst();
    if (workspace == null) {
      workspace = new Workspace();
    }
    try {
      work.accept(workspace);
    } finally {
      workspaces.addFirst(workspace);
    }
  }

  @Override
  public void close() {
    workspaces.forEach(Workspace::close);
    workspaces.clear();
    pass.close();
  }
}
