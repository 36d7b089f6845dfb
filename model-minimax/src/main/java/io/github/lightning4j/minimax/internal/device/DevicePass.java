package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Embedding, layers, final norm, head on a GPU. */
final class DevicePass {
  private final MiniMaxConfig config;
  private final DeviceWeights weights;
  private final List<DeviceLayer> layers = new ArrayList<>();

  DevicePass(MiniMaxConfig config, DeviceWeights weights) {
    this.config = config;
    this.weights = weights;
    int lightning = 0;
    int softmax = 0;
    for (int i = 0; i < config.layers().size(); i++) {
      boolean linear = config.layers().get(i) == LayerKind.LIGHTNING;
      layers.add(new DeviceLayer(i, linear ? lightning++ : softmax++, config, weights));
    }
  }

  int vocabulary() {
    return config.vocabSize();
  }

  /**
   * Puts a pass on the stream, from the tokens of the step's inputs to the logits of the last row
   * of each sequence, or of all its rows where they are drafted.
   *
   * @param insert writes rows over what was looked up
   * @return logits {@code [S, V]} F32, a row for each that has some, until the next pass
   */
  Tensor lastLogits(DeviceStep step, Consumer<Tensor> insert) {
    Tensor hidden = hidden(step, insert);
    int wanted = step.shape().logitRows();
    if (step.shape().rows() == wanted) {
      return logits(step, hidden);
    }
    Tensor last = step.scratch().activations(Slot.LAST_ROWS, wanted, config.hiddenSize());
    step.operators().rows().gatherRows(hidden, step.inputs().logitRows(wanted), last);
    return logits(step, last);
  }

  /** The same, with the logits of all rows {@code [R, V]}. */
  Tensor allLogits(DeviceStep step, Consumer<Tensor> insert) {
    return logits(step, hidden(step, insert));
  }

  /** Moves states on by the first of the tokens drafted last, from where they were before. */
  void commit(DeviceOperators operators, SequencePool memory, DeviceDrafts drafts, int accepted) {
    layers.forEach(layer -> layer.commit(operators, memory, drafts, accepted));
  }

  private Tensor hidden(DeviceStep step, Consumer<Tensor> insert) {
    int rows = step.shape().rows();
    Tensor hidden = step.scratch().activations(Slot.STREAM, rows, config.hiddenSize());
    weights.embedding().lookUp(step.operators(), step.inputs().ids(rows), hidden);
    insert.accept(hidden);
    for (DeviceLayer layer : layers) {
      layer.forward(step, hidden);
    }
    return hidden;
  }

  private Tensor logits(DeviceStep step, Tensor hidden) {
    Tensor normed = step.scratch().activations(Slot.NORMED, hidden.shape());
    Tensor logits = step.scratch().get(Slot.LOGITS, DType.F32, hidden.size(0), config.vocabSize());
    float eps = (float) config.rmsNormEps();
    step.operators().rows().rmsNorm(hidden, weights.finalNorm(), eps, normed);
    weights.head().multiply(step.operators(), normed, logits);
    return logits;
  }
}
