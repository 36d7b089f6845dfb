package io.github.lightning4j.cispo.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.cispo.head.CudaFusedHead;
import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.Test;

/** Gradients of the head by several blocks are those of one. */
@RequiresCuda
final class CudaHeadBlocksDeviceTest {
  private static final int TOKENS = 21;
  private static final int WORDS = 75;
  private static final int WIDTH = 24;

  @Test
  void sumsGoFromBlockToBlock() {
    try (Gpu gpu = new Gpu()) {
      CudaHeadBackward.Call call = call(gpu);
      CudaHeadBackward.run(gpu.stream(), call);
      HeadGradients to = call.gradients();
      double[] dHidden = gpu.doubles(to.outDHidden());
      double[] dHead = gpu.doubles(to.outDHead());
      CudaHeadBackward.run(gpu.stream(), call, new CudaHeadBackward.Block(8, 32));
      Closeness.assertNmse("dHidden", gpu.doubles(to.outDHidden()), dHidden, 1e-12);
      Closeness.assertNmse("dHead", gpu.doubles(to.outDHead()), dHead, 1e-12);
    }
  }

  private static CudaHeadBackward.Call call(Gpu gpu) {
    Tensor hidden = gpu.normal(1, DType.BF16, TOKENS, WIDTH);
    Tensor head = gpu.normal(2, DType.BF16, WORDS, WIDTH);
    int[] words = new int[TOKENS];
    for (int t = 0; t < TOKENS; t++) {
      words[t] = t * 11 % WORDS;
    }
    Tensor targets = gpu.up(Tensor.of(words, TOKENS));
    HeadOutput out =
        HeadOutput.of(gpu.allocate(DType.F32, TOKENS), gpu.allocate(DType.F64, TOKENS));
    CudaFusedHead operator = CudaFusedHead.on(gpu.stream());
    Tensor parts = gpu.allocate(DType.F32, operator.scratchElements(TOKENS, WORDS));
    operator.forward(hidden, head, targets, 1, parts, out);
    HeadGradients gradients =
        HeadGradients.of(gpu.normal(3, DType.F32, TOKENS))
            .toDHidden(gpu.allocate(DType.F32, TOKENS, WIDTH))
            .toDHead(gpu.allocate(DType.F32, WORDS, WIDTH));
    Tensor scratch = gpu.allocate(DType.F32, CudaHeadBackward.scratchElements(TOKENS, WORDS));
    return new CudaHeadBackward.Call(hidden, head, targets, 1, out, gradients, scratch);
  }

  @Test
  void blocksAreBounded() {
    for (long tokens : new long[] {1, 64, 4096, 100_000}) {
      for (long words : new long[] {1, 999, 200_064, 1L << 27}) {
        long elements = CudaHeadBackward.scratchElements(tokens, words);
        assertThat(elements).as("%s x %s", tokens, words).isBetween(1L, 1L << 24);
      }
    }
    assertThat(CudaHeadBackward.Block.of(100_000, 200_064))
        .isEqualTo(new CudaHeadBackward.Block(4096, 8192));
    assertThat(CudaHeadBackward.Block.of(1, 1L << 27).words()).isEqualTo(1 << 21);
  }
}
