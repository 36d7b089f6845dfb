package io.github.lightning4j.jmh.device;

import io.github.lightning4j.attention.CudaLightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;

/** A prompt of one sequence. */
final class LightningPromptRow implements DeviceRow {
  @Override
  public String title() {
    return "lightning attention, prompt of 8,192 tokens, 64 heads of 128, bf16";
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(200);
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
    CudaLightningAttention attention = CudaLightningAttention.on(scene.stream());
    double bytes = tokens * tensors.tokenBytes() + 2.0 * tensors.stateBytes();
    return scene.time(
        Job.ofBytes(
            i -> attention.prefill(q, k, v, decay, Options.DEFAULT, state, null, null, out),
            1,
            bytes));
  }
}
