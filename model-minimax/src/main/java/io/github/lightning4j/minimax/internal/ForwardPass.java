package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
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
    this.invFreq = SoftmaxLayer.inverseFrequencies(config.attention());
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(new DecoderLayer(i, config, weights.layers().get(i), operators, invFreq));
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
   * Runs the batch and gives the logits of the last row of each sequence.
   *
   * @param outLogits an array of V for each sequence
   */
  public void lastLogits(TokenBatch batch, Workspace workspace, List<float[]> outLogits) {
    Tensor stream = stream(batch, workspace, ForwardObserver.NONE);
    int sequences = batch.segments().size();
    Tensor last = workspace.floats(Slot.LAST_ROWS, sequences, config.hiddenSize());
    for (int i = 0; i < sequences; i++) {
      TokenBatch.Segment segment = batch.segments().get(i);
      last.select(0, i).copyFrom(stream.select(0, segment.firstRow() + segment.rows() - 1));
    }
    Tensor logits = workspace.floats(Slot.LAST_LOGITS, sequences, config.vocabSize());
    head(last, last, ForwardObserver.NONE, logits);
    for (int i = 0; i < sequences; i++) {
      logits.select(0, i).pointer().asByteBuffer().asFloatBuffer().get(outLogits.get(i));
    }
  }

  private Tensor stream(TokenBatch batch, Workspace workspace, ForwardObserver observer) {
    long rows = batch.rows();
    Tensor ids = workspace.get(Slot.IDS, DType.I32, rows);
    ids.pointer().asByteBuffer().asIntBuffer().put(batch.ids());
    Tensor stream = workspace.floats(Slot.STREAM, rows, config.hiddenSize());
    weights.embedding().lookUp(operators, ids, stream);
    for (int i = 0; i < layers.size(); i++) {
      observer.hidden(i, stream);
      see(batch, i, stream);
      layers.get(i).forward(batch, workspace, observer, stream);
    }
    observer.hidden(layers.size(), stream);
    batch.segments().forEach(segment -> segment.state().advance(segment.rows()));
    return stream;
  }

  /** Shows each sequence what the layer gets of it. */
  private static void see(TokenBatch batch, int layer, Tensor stream) {
    for (TokenBatch.Segment segment : batch.segments()) {
      segment.state().see(layer, stream, segment.firstRow(), segment.rows());
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
