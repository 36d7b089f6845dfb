package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.minimax.DeviceSlice;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.AttentionConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.ExpertConfig;
import io.github.lightning4j.minimax.WeightFormat;
import java.util.List;

/**
 * A whole model that fits any GPU, with random weights, to be held against transformers on the same
 * GPU: {@code device_peers.py} makes the same one and tells what ours is to reach.
 */
enum ModelRow implements DeviceRow {
  /** On the clock of the CPU, tokens to the GPU and logits back included. */
  PROMPT("prompt of 4,096 tokens"),
  /** Steps of one graph, each of which chooses the token of the next. */
  DECODE("decode after 1,024 tokens");

  private static final int PROMPT_TOKENS = 4096;
  private static final int CONTEXT = 1024;

  private final String what;

  ModelRow(String what) {
    this.what = what;
  }

  @Override
  public String title() {
    return "MiniMax of 8 layers, hidden 2,048, 8 experts, bf16, " + what;
  }

  @Override
  public Goal goal() {
    return Goal.NONE;
  }

  @Override
  public Measured measure(Scene scene) {
    try (DeviceSlice model =
        DeviceSlice.open(Device.cuda(scene.device().index()), config(scene), WeightFormat.BF16)) {
      int tokens = scene.size(PROMPT_TOKENS, 40);
      int steps = scene.size(64, 2);
      double[] microseconds = new double[scene.size(10, 1)];
      seconds(model, tokens, steps); // compiles kernels
      for (int i = 0; i < microseconds.length; i++) {
        microseconds[i] = 1e6 * seconds(model, tokens, steps);
      }
      return new Measured(Timing.of(microseconds), 0, 0);
    }
  }

  private double seconds(DeviceSlice model, int tokens, int steps) {
    return this == PROMPT
        ? model.prefillSeconds(1, tokens, tokens)
        : model.decodeSeconds(1, CONTEXT, steps);
  }

  private static MiniMaxConfig config(Scene scene) {
    MiniMaxConfig released = MiniMaxConfig.m1(8);
    int heads = scene.size(16, 4);
    int dim = scene.size(128, 32);
    return new MiniMaxConfig(
        released.dialect(),
        scene.size(32_000, 96),
        scene.size(2048, 64),
        released.layers().subList(scene.size(0, 6), 8),
        new AttentionConfig(heads, heads / 2, dim, dim, 1e7),
        new ExpertConfig(8, 2, scene.size(1024, 32), 0),
        released.residuals(),
        released.rmsNormEps(),
        PROMPT_TOKENS,
        false,
        List.of());
  }
}
