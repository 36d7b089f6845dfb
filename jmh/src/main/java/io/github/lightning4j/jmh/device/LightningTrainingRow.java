package io.github.lightning4j.jmh.device;

import io.github.lightning4j.attention.CudaLightningAttention;
import io.github.lightning4j.attention.Gradients;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;

/**
 * Gradients of q, k and v over one sequence.
 *
 * @param forward whether the forward pass is timed too
 * @param goal what it is to reach
 */
record LightningTrainingRow(boolean forward, Goal goal) implements DeviceRow {
  /** q, k, v and four gradients, in rows of which forward has four. */
  private static final double ROWS = 7 / 4.0;

  @Override
  public String title() {
    String what = forward ? "forward and backward" : "backward";
    return "lightning attention, " + what + ", 8,192 tokens, 64 heads of 128, bf16";
  }

  @Override
  public Measured measure(Scene scene) {
    LightningTensors tensors = new LightningTensors(scene);
    int tokens = scene.size(8192, 70);
    Tensor q = tensors.activations(1, tokens);
    Tensor k = tensors.activations(1, tokens);
    Tensor v = tensors.activations(1, tokens);
    Tensor out = tensors.activations(1, tokens);
    Tensor state = tensors.states(1);
    Tensor decay = tensors.logDecay();
    Gradients gradients =
        new Gradients(tensors.activations(1, tokens))
            .outDq(tensors.activations(1, tokens))
            .outDkDv(tensors.activations(1, tokens), tensors.activations(1, tokens));
    CudaLightningAttention attention = CudaLightningAttention.on(scene.stream());
    double bytes = tokens * tensors.tokenBytes() * (forward ? 1 + ROWS : ROWS);
    return scene.time(
        Job.ofBytes(
            i -> {
              if (forward) {
                attention.prefill(q, k, v, decay, Options.DEFAULT, state, null, null, out);
              }
              attention.backward(q, k, v, decay, Options.DEFAULT, null, null, gradients, null);
            },
            1,
            bytes));
  }
}
