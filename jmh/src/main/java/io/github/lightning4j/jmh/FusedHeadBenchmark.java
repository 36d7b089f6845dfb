package io.github.lightning4j.jmh;

import io.github.lightning4j.cispo.head.FusedHead;
import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadInput;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.Random;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * The fused head, size {@code TxVxH}: log-probabilities and entropies, and with their gradients.
 * 200,064 x 6,144 is the head of MiniMax-M1: 2.5 GB of bf16, whose gradient takes 4.9 GB, hence so
 * few tokens. The peer is {@code lm_head.py}.
 */
public class FusedHeadBenchmark extends OperatorBenchmark {
  @Param({"64x512x64", "256x4096x256", "2048x32768x1024", "256x200064x6144"})
  String size;

  @Param({"bf16", "f32"})
  String dtype;

  private final FusedHead fused = FusedHead.best();
  private HeadInput input;
  private HeadOutput output;
  private HeadGradients gradients;

  /** Fills the operands. */
  @Setup
  public void open() {
    String[] sizes = size.split("x");
    int tokens = Integer.parseInt(sizes[0]);
    int words = Integer.parseInt(sizes[1]);
    int width = Integer.parseInt(sizes[2]);
    DType type = DType.of(dtype);
    Tensor targets = zeros(DType.I32, tokens);
    Random random = new Random(2);
    for (int t = 0; t < tokens; t++) {
      targets.accessor().setLong(t, random.nextInt(words));
    }
    double temperature = Math.sqrt(width); // normal logits
    input =
        new HeadInput(tiled(type, tokens, width), tiled(type, words, width), targets, temperature);
    output =
        new HeadOutput(
            zeros(DType.F32, tokens), zeros(DType.F64, tokens), zeros(DType.F32, tokens));
    gradients =
        HeadGradients.of(normal(DType.F32, tokens))
            .toDHidden(zeros(DType.F32, tokens, width))
            .toDHead(zeros(DType.F32, words, width));
  }

  /** Log-probabilities and entropies. */
  @Benchmark
  public HeadOutput forward() {
    fused.forward(input, output);
    return output;
  }

  /** The same and both gradients. */
  @Benchmark
  public HeadGradients forwardBackward() {
    fused.forward(input, output);
    fused.backward(input, output, gradients);
    return gradients;
  }
}
