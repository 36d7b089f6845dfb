package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.WeightMatrix;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import io.github.lightning4j.moe.SharedWeights;
import java.util.stream.Stream;

/**
 * What a token costs by the weights alone, as they are held; states and caches come on top.
 *
 * @param decodeBytes bytes of weights that a decode step of one sequence reads: projections,
 *     routers, norms, the experts chosen, and the head. Over the memory bandwidth: the least time
 *     of a step whose weights are not in a cache
 * @param prefillOperations multiplications and additions with the same weights but the head, for a
 *     token of a prompt
 */
public record StepCost(long decodeBytes, long prefillOperations) {
  static StepCost of(MiniMaxConfig config, ModelWeights weights) {
    Counter layers = new Counter();
    int chosen = config.experts().expertsPerToken();
    for (ModelWeights.Layer layer : weights.layers()) {
      layers.add(layer, chosen);
    }
    Counter head = new Counter();
    head.add(weights.head());
    head.add(weights.finalNorm());
    return new StepCost(layers.bytes + head.bytes, 2 * layers.elements);
  }

  /** Bytes and elements of weights. */
  private static final class Counter {
    private long bytes;
    private long elements;

    void add(ModelWeights.Layer layer, int chosen) {
      add(layer.inputNorm());
      add(layer.postNorm());
      if (layer.attention() instanceof ModelWeights.Lightning a) {
        Stream.of(a.qkv(), a.gate(), a.out()).forEach(this::add);
        add(a.norm());
      } else if (layer.attention() instanceof ModelWeights.Softmax a) {
        Stream.of(a.q(), a.k(), a.v(), a.out()).forEach(this::add);
      }
      add(layer.moe().router());
      add(layer.moe().experts(), chosen);
      SharedWeights shared = layer.moe().shared();
      if (shared != null) {
        Stream.of(shared.gate(), shared.up(), shared.down()).forEach(this::add);
        add(shared.coefficient());
      }
    }

    private void add(Experts experts, int chosen) {
      for (int e = 0; e < chosen; e++) {
        if (experts instanceof ExpertWeights plain) {
          Stream.of(plain.gate(), plain.up(), plain.down())
              .map(list -> list.get(0))
              .forEach(this::add);
        } else if (experts instanceof QuantizedExpertWeights quantized) {
          Stream.of(quantized.gate(0), quantized.up(0), quantized.down(0)).forEach(this::add);
        }
      }
    }

    void add(WeightMatrix matrix) {
      if (matrix instanceof WeightMatrix.Plain plain) {
        add(plain.tensor());
      } else if (matrix instanceof WeightMatrix.Quantized quantized) {
        add(quantized.matrix());
      }
    }

    void add(Tensor tensor) {
      elements += tensor.elements();
      bytes += tensor.elements() * tensor.dtype().bytes();
    }

    private void add(QuantizedMatrix matrix) {
      elements += matrix.rows() * matrix.columns();
      bytes += matrix.bytes();
    }
  }
}
