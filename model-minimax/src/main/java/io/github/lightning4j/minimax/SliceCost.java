package io.github.lightning4j.minimax;

import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBytes;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.CachePlan;

/**
 * Bytes that a decode step reads and writes at least: weights once, the states of lightning layers
 * read and written, keys and values read; and the operations of prompts.
 *
 * @param config of the model
 * @param format of the layers' matrices but for the router, which is bf16 as the head is
 * @param caches how keys and values are held: all of them in bf16, or packed with their scales and
 *     zero points but for the window of recent tokens and the first ones
 */
public record SliceCost(MiniMaxConfig config, WeightFormat format, KvCacheFormat caches) {
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
    double keys = sequences * cacheBytes(context);
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

  /**
   * Operations of a token of a prompt, on average: two for each weight it meets, and attention to
   * the half of the prompt before it in softmax layers; the head counts for one token alone.
   *
   * @param tokens of the prompt
   */
  public double promptOperations(long tokens) {
    var attention = config.attention();
    double hidden = config.hiddenSize();
    double width = attention.width();
    double lightning = 5 * hidden * width + 2 * width * attention.headDim();
    double softmax = 2 * hidden * (width + attention.kvWidth()) + width * tokens;
    var experts = config.experts();
    double moe =
        experts.expertsPerToken() * 3 * hidden * experts.intermediateSize()
            + hidden * experts.experts();
    double head = hidden * config.vocabSize() / tokens;
    return 2
        * (config.count(LayerKind.LIGHTNING) * lightning
            + config.count(LayerKind.SOFTMAX) * softmax
            + config.layers().size() * moe
            + head);
  }

  /** Bytes of the keys and values of a sequence that a step reads. */
  private double cacheBytes(long context) {
    if (caches.policy().isEmpty()) {
      return (double) config.kvBytesPerToken(PLAIN) * context;
    }
    TokenPolicy tokens = caches.policy().get().tokens();
    long aged = tokens.left(context);
    long kept = context - aged + Math.min(aged, tokens.firstTokens());
    double bytes = (double) config.kvBytesPerToken(PLAIN) * kept;
    for (KvCacheConfig layer :
        new CachePlan(config, caches, null, PageBudget.unlimited()).configs().orElseThrow()) {
      bytes += (double) aged * PageBytes.of(layer).packed() / layer.pageTokens();
    }
    return bytes;
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
