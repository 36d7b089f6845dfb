package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/** What the rows of lightning attention share: 64 heads of 128, as the released models have. */
final class LightningTensors {
  private final Scene scene;
  private final int heads;
  private final int head;

  LightningTensors(Scene scene) {
    this.scene = scene;
    this.heads = scene.size(64, 2);
    this.head = scene.size(128, 16);
  }

  /** {@code [rows..., heads, head]} in bf16. */
  Tensor activations(long... rows) {
    long[] shape = Arrays.copyOf(rows, rows.length + 2);
    shape[rows.length] = heads;
    shape[rows.length + 1] = head;
    return scene.random(DType.BF16, shape);
  }

  /** {@code [states, heads, head, head]}. */
  Tensor states(int states) {
    return scene.zeros(DType.F32, states, heads, head, head);
  }

  /** Bytes of one state. */
  long stateBytes() {
    return 4L * heads * head * head;
  }

  /** Bytes of q, k, v and the result of one token. */
  long tokenBytes() {
    return 4L * 2 * heads * head;
  }

  /** Slopes {@code 2^(-8 (h + 1) / H)}, as the models have in their first layer. */
  Tensor logDecay() {
    float[] rates = new float[heads];
    for (int h = 0; h < heads; h++) {
      rates[h] = (float) -Math.pow(2, -8.0 * (h + 1) / heads);
    }
    return scene.up(Tensor.of(rates, heads));
  }
}
