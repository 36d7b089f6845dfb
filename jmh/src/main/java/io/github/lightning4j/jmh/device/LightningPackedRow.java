package io.github.lightning4j.jmh.device;

import io.github.lightning4j.attention.CudaLightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;
import java.util.SplittableRandom;

/** Prompts of uneven lengths, packed into one row. */
final class LightningPackedRow implements DeviceRow {
  private static final int SEQUENCES = 16;

  @Override
  public String title() {
    return "lightning attention, 16 prompts of 64 to 4,096 tokens packed, 64 heads of 128, bf16";
  }

  @Override
  public Goal goal() {
    return Goal.ofBandwidth(0.6);
  }

  @Override
  public Measured measure(Scene scene) {
    LightningTensors tensors = new LightningTensors(scene);
    int[] bounds = bounds(scene.size(64, 1), scene.size(4096, 20));
    int tokens = bounds[SEQUENCES];
    Tensor q = tensors.activations(1, tokens);
    Tensor k = tensors.activations(1, tokens);
    Tensor v = tensors.activations(1, tokens);
    Tensor out = tensors.activations(1, tokens);
    Tensor states = tensors.states(SEQUENCES);
    Tensor decay = tensors.logDecay();
    Tensor offsets = scene.up(Tensor.of(bounds, bounds.length));
    CudaLightningAttention attention = CudaLightningAttention.on(scene.stream());
    double bytes = tokens * tensors.tokenBytes() + SEQUENCES * 2.0 * tensors.stateBytes();
    return scene.time(
        Job.ofBytes(
            i -> attention.prefill(q, k, v, decay, Options.DEFAULT, states, null, offsets, out),
            1,
            bytes));
  }

  private static int[] bounds(int least, int most) {
    SplittableRandom random = new SplittableRandom(7);
    int[] bounds = new int[SEQUENCES + 1];
    for (int i = 0; i < SEQUENCES; i++) {
      bounds[i + 1] = bounds[i] + random.nextInt(least, most + 1);
    }
    return bounds;
  }
}
