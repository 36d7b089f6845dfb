package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.CudaSampler;

/**
 * The choice of tokens by top-k and top-p.
 *
 * @param rows of logits
 * @param goal what it is to reach
 */
record SamplerRow(int rows, Goal goal) implements DeviceRow {
  /** Spreads even logits over [-10, 10). */
  private static final CudaSampler.Options OPTIONS = new CudaSampler.Options(0.1, 200, 0.9, 0, 1);

  @Override
  public String title() {
    return "sampling with top-k and top-p of 200,064 logits, in a graph, rows: " + rows;
  }

  @Override
  public Measured measure(Scene scene) {
    int count = scene.size(rows, Math.min(rows, 3));
    int vocabulary = scene.size(200_064, 5000);
    Tensor logits = scene.random(DType.F32, count, vocabulary);
    double[] options = new double[count * CudaSampler.Options.COUNT];
    for (int i = 0; i < options.length; i++) {
      options[i] = OPTIONS.toArray()[i % CudaSampler.Options.COUNT];
    }
    Tensor each = scene.up(Tensor.of(options, count, CudaSampler.Options.COUNT));
    Tensor seeds = scene.zeros(DType.I64, count);
    Tensor draws = scene.range(count);
    Tensor scratch = scene.zeros(DType.I64, CudaSampler.scratchElements(count, vocabulary));
    Tensor out = scene.zeros(DType.I32, count);
    CudaSampler sampler = CudaSampler.on(scene.stream());
    double bytes = 4.0 * count * vocabulary;
    return scene.time(
        Job.ofBytes(i -> sampler.sample(logits, each, seeds, draws, null, scratch, out), 1, bytes)
            .asGraph());
  }
}
