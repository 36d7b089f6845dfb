package io.github.lightning4j.minimax;

import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;

/**
 * Bytes that a decode step reads and writes at least: weights once, the states of lightning layers
 * read and written, keys and values read.
 *
 * @param config of the model
 * @param format of the layers' matrices but for the router, which is bf16 as the head is
 */
public record SliceCost(MiniMaxConfig config, WeightFormat format) {
  /** Bytes of an element of what is not quantized. */
  private static final int PLAIN = 2;

  /**
   * Bytes of a step.
   *
   * @param sequences that are written together, each token with experts of its own choice
   * @param context tokens of each
   */
  public double stepBytes(int sequences, long context) {
    var attention = config.attention();
    double hidden = config.hiddenSize();
    double states = 2.0 * config.stateBytes() * sequences;
    double keys = (double) config.kvBytesPerToken(PLAIN) * sequences * context;
    double lightning = 5 * hidden * attention.width();
    double softmax = 2 * hidden * (attention.width() + attention.kvWidth());
    double layers =
        config.count(LayerKind.LIGHTNING) * lightning + config.count(LayerKind.SOFTMAX) * softmax;
    double experts = expertsTouched(sequences) * 3 * hidden * config.experts().intermediateSize();
    double router = PLAIN * hidden * config.experts().experts();
    double head = PLAIN * hidden * config.vocabSize();
    int count = config.layers().size();
    return (layers + count * experts) * weightBytes() + count * router + head + states + keys;
  }

  /** Experts of a layer that some of the tokens choose, on average over even choices. */
  private double expertsTouched(int tokens) {
    double experts = config.experts().experts();
    double missed = Math.pow(1 - config.experts().expertsPerToken() / experts, tokens);
    return experts * (1 - missed);
  }

  /** Bytes of a weight with its part of scales and zero points. */
  private double weightBytes() {
    if (format.coding().isEmpty()) {
      return PLAIN;
    }
    QuantFormat coding = format.coding().get();
    double perGroup = coding.bits() == 4 ? PLAIN + 1 : PLAIN;
    return coding.bits() / 8.0 + perGroup / coding.block();
  }
}
