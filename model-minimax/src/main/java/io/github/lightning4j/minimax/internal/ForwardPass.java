package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Embedding, layers, final norm, head. Thread-safe: everything that changes is in its arguments.
 */
public final class ForwardPass implements AutoCloseable {
  private final MiniMaxConfig config;
  private final ModelWeights weights;
  private final Operators operators;
  private final Tensor invFreq;
  private final List<DecoderLayer> layers = new ArrayList<>();

  /** A pass over these weights with these operators. */
  public ForwardPass(MiniMaxConfig config, ModelWeights weights, Operators operators) {
    this.config = config;
    this.weights = weights;
    this.operators = operators;
    this.invFreq = LayerConstants.inverseFrequencies(config.attention());
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(new DecoderLayer(i, config, weights.layers(), operators, invFreq));
    }
  }

  /**
   * Runs the batch and gives the logits of every row.
   *
   * @param outLogits {@code [R, V]} F32
   */
  public void allLogits(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor outLogits) {
    Tensor stream = stream(batch, workspace, observer);
    head(stream, workspace.floats(Slot.NORMED, stream.shape()), observer, outLogits);
  }

  /**
   * Runs the batch and gives the logits of the last row of each sequence, or of all its rows where
   * it is drafted.
   *
   * @param observer sees the inside; the final norm of these rows alone
   * @param outLogits an array of V for each of these rows
   */
  public void lastLogits(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, List<float[]> outLogits) {
    DecodeStep step = observer == ForwardObserver.NONE ? workspace.decodeStep(this, batch) : null;
    if (step != null) {
      copy(step.run(batch), outLogits);
      return;
    }
    Tensor stream = stream(batch, workspace, observer);
    int wanted = outLogits.size();
    Tensor last = workspace.floats(Slot.LAST_ROWS, wanted, config.hiddenSize());
    int row = 0;
    for (TokenBatch.Segment segment : batch.segments()) {
      long count = segment.logitRows();
      long first = segment.firstRow() + segment.rows() - count;
      last.narrow(0, row, count).copyFrom(stream.narrow(0, first, count));
      row += (int) count;
    }
    Tensor logits = workspace.floats(Slot.LAST_LOGITS, wanted, config.vocabSize());
    head(last, last, observer, logits);
    copy(logits, outLogits);
  }

  private static void copy(Tensor logits, List<float[]> to) {
    for (int i = 0; i < to.size(); i++) {
      logits.select(0, i).pointer().asByteBuffer().asFloatBuffer().get(to.get(i));
    }
  }

  /** All of a step but to count its tokens: from ids {@code [R]} to logits {@code [R, V]}. */
  void step(TokenBatch batch, Tensor ids, Workspace workspace, Tensor outLogits) {
    Tensor stream = workspace.floats(Slot.STREAM, batch.rows(), config.hiddenSize());
    weights.embedding().lookUp(operators, ids, stream);
    for (DecoderLayer layer : layers) {
      layer.forward(batch, workspace, ForwardObserver.NONE, stream);
    }
    Tensor normed = workspace.floats(Slot.NORMED, stream.shape());
    head(stream, normed, ForwardObserver.NONE, outLogits);
  }

  MiniMaxConfig config() {
    return config;
  }

  /**
   * Moves a sequence on by the first tokens of its last, drafted segment: the state is then, bit
   * for bit, what it is after they were decoded one by one.
   *
   * @param accepted how many of the drafted tokens count
   */
  void commit(SequenceState state, HostDrafts drafts, int accepted) {
    layers.forEach(layer -> layer.commit(state, drafts, accepted));
    state.advance(accepted);
  }

  private Tensor stream(TokenBatch batch, Workspace workspace, ForwardObserver observer) {
    long rows = batch.rows();
    Tensor ids = workspace.get(Slot.IDS, DType.I32, rows);
    IntBuffer to = ids.pointer().asByteBuffer().asIntBuffer();
    batch.ids().forEach(to::put);
    Tensor stream = workspace.floats(Slot.STREAM, rows, config.hiddenSize());
    weights.embedding().lookUp(operators, ids, stream);
    insert(batch, stream);
    for (int i = 0; i < layers.size(); i++) {
      observer.hidden(i, stream);
      see(batch, i, stream);
      layers.get(i).forward(batch, workspace, observer, stream);
    }
    observer.hidden(layers.size(), stream);
    for (TokenBatch.Segment segment : batch.segments()) {
      if (segment.drafts() == null) {
        segment.state().advance(segment.rows());
      }
    }
    return stream;
  }

  /** Shows each sequence what the layer gets of it. */
  private static void see(TokenBatch batch, int layer, Tensor stream) {
    for (TokenBatch.Segment segment : batch.segments()) {
      if (segment.state().inPrompt()) {
        HostMemory.of(segment.state()).see(layer, stream, segment.firstRow(), segment.rows());
      }
    }
  }

  /** Puts the rows of pictures where their placeholders stand. */
  private static void insert(TokenBatch batch, Tensor stream) {
    for (TokenBatch.Segment segment : batch.segments()) {
      InsertedRows inserted = segment.state().inserted();
      if (inserted != null) {
        inserted.copyTo(stream, segment.firstRow(), segment.state().position(), segment.rows());
      }
    }
  }

  private void head(Tensor stream, Tensor normed, ForwardObserver observer, Tensor outLogits) {
    operators.rows().rmsNorm(stream, weights.finalNorm(), (float) config.rmsNormEps(), normed);
    observer.finalNorm(normed);
    weights.head().multiply(operators, normed, outLogits);
  }

  @Override
  public void close() {
    invFreq.close();
  }
}
