package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import java.util.ArrayList;
import java.util.List;

/**
 * The experts of several layers, {@value #POOL_BYTES} bytes in all, for calls to take in turn: as
 * in a model, a layer has left the caches when it is used again.
 */
final class MoeLayers implements AutoCloseable {
  /** H of a layer. */
  static final int HIDDEN = 1024;

  /** I of an expert. */
  static final int INTERMEDIATE = 1792;

  /** E. */
  static final int EXPERTS = 8;

  /** k. */
  static final int CHOICES = 2;

  static final long POOL_BYTES = 512L << 20;

  private final List<Experts> layers = new ArrayList<>();
  private int next;

  /**
   * Fills the pool.
   *
   * @param memory whose scope holds plain weights
   * @param weights {@code f32}, {@code bf16}, {@code int8} (a scale for each row) or {@code int4}
   *     (groups of 128)
   */
  MoeLayers(OperatorBenchmark memory, String weights) {
    switch (weights) {
      case "int8" -> quantized(memory, QuantFormat.int8());
      case "int4" -> quantized(memory, QuantFormat.int4(128));
      default -> {
        DType type = DType.of(weights);
        long bytes = 3L * EXPERTS * HIDDEN * INTERMEDIATE * type.bytes();
        for (long held = 0; held < POOL_BYTES; held += bytes) {
          layers.add(plain(memory, type));
        }
      }
    }
  }

  private void quantized(OperatorBenchmark memory, QuantFormat format) {
    ExpertWeights weights = plain(memory, DType.BF16);
    for (long held = 0; held < POOL_BYTES; ) {
      QuantizedExpertWeights layer = QuantizedExpertWeights.quantize(weights, format);
      layers.add(layer);
      held += layer.bytes();
    }
  }

  private static ExpertWeights plain(OperatorBenchmark memory, DType type) {
    Tensor gateUp = memory.tiled(type, EXPERTS, 2 * INTERMEDIATE, HIDDEN);
    return ExpertWeights.ofFused(gateUp, memory.tiled(type, EXPERTS, HIDDEN, INTERMEDIATE));
  }

  /** The experts of the next layer. */
  Experts next() {
    next = (next + 1) % layers.size();
    return layers.get(next);
  }

  /** Frees the quantized experts; the others belong to the benchmark's scope. */
  @Override
  public void close() {
    for (Experts layer : layers) {
      if (layer instanceof QuantizedExpertWeights quantized) {
        quantized.close();
      }
    }
  }
}
