package io.github.lightning4j.jmh.device;

import io.github.lightning4j.attention.CudaLightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/**
 * One token of several sequences, each with a state in a pool.
 *
 * @param rows how many sequences
 * @param graph whether as a graph
 * @param goal what it is to reach
 */
record LightningDecodeRow(int rows, boolean graph, Goal goal) implements DeviceRow {
  @Override
  public String title() {
    return "lightning attention, decode, 64 heads of 128, rows: "
        + rows
        + (graph ? ", in a graph" : "");
  }

  @Override
  public Measured measure(Scene scene) {
    LightningTensors tensors = new LightningTensors(scene);
    int batch = scene.size(rows, Math.min(rows, 3));
    int variants = scene.variants(batch * tensors.stateBytes());
    Tensor q = tensors.activations(batch);
    Tensor k = tensors.activations(batch);
    Tensor v = tensors.activations(batch);
    Tensor out = tensors.activations(batch);
    Tensor pool = tensors.states(batch * variants);
    Tensor decay = tensors.logDecay();
    Tensor slots = scene.up(slots(variants, batch));
    CudaLightningAttention attention = CudaLightningAttention.on(scene.stream());
    double bytes = batch * (2.0 * tensors.stateBytes() + tensors.tokenBytes());
    Job job =
        Job.ofBytes(
            i -> attention.decode(q, k, v, decay, Options.DEFAULT, pool, slots.select(0, i), out),
            variants,
            bytes);
    return scene.time(graph ? job.asGraph() : job);
  }

  private static Tensor slots(int variants, int batch) {
    Tensor slots = Tensor.allocate(DType.I32, variants, batch);
    for (int i = 0; i < variants * batch; i++) {
      slots.accessor().set(i, i);
    }
    return slots;
  }
}
