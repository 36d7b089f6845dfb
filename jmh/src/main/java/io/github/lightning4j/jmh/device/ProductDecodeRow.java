package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/**
 * A product of a decode step, which reads the weights once and is bound by that.
 *
 * @param rows of activations
 * @param weights what they are multiplied with
 */
record ProductDecodeRow(int rows, Weights weights) implements DeviceRow {
  @Override
  public String title() {
    return "products, weights " + weights + ", N = K = 6,144, in a graph, rows: " + rows;
  }

  @Override
  public Goal goal() {
    return Goal.ofBandwidth(0.8);
  }

  @Override
  public Measured measure(Scene scene) {
    ProductTensors tensors = new ProductTensors(scene, weights, true);
    // Tiny runs take one form of the kernel for all numbers of rows.
    int count = scene.size(rows, 16);
    Tensor x = scene.random(DType.BF16, count, tensors.size());
    Tensor out = scene.zeros(DType.BF16, count, tensors.size());
    return scene.time(
        Job.ofBytes(i -> tensors.multiply(x, i, out), tensors.count(), tensors.bytes()).asGraph());
  }
}
