package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * However long a sequence is, a native prefill takes no more memory: here some MB, where its
 * outputs are 26.
 */
final class LongSequenceMemoryTest {
  private static final int TOKENS = 400_000;
  private static final int CHANNELS = 16;
  private static final long ENOUGH = 4 << 20;

  private final int before = Threads.count();
  private final LightningAttention attention = LightningAttention.of(Backend.CPU);

  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
    Threads.use(16);
  }

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  /** One head on zeros: what it computes is of no interest here. */
  private record Pass(Tensor q, Tensor out, Tensor state) implements AutoCloseable {
    Pass(DType type, long tokens, long channels) {
      this(
          Tensor.allocate(type, 1, tokens, 1, channels),
          Tensor.allocate(type, 1, tokens, 1, channels),
          Tensor.allocate(DType.F32, 1, 1, channels, channels));
    }

    Prefill prefill() {
      Decay decay = Decay.ofSlopes(new double[] {0.01});
      return new Prefill(q, q, q, decay, Options.DEFAULT, out).state(state);
    }

    @Override
    public void close() {
      q.close();
      out.close();
      state.close();
    }
  }

  @Test
  void prefillBySegmentsTakesLittle() {
    try (Pass pass = new Pass(DType.F32, TOKENS, CHANNELS)) {
      // Two states of 1 KiB for each of 64 segments, where the sequence has 196.
      assertThat(HighWater.of(() -> attention.prefill(pass.prefill()))).isBetween(1L, 200L << 10);
    }
  }

  @Test
  void normOfSixteenBitOutputsTakesLittle() {
    try (Pass pass = new Pass(DType.BF16, TOKENS, CHANNELS);
        Tensor weight = Cases.normal(1, DType.F32, CHANNELS)) {
      Prefill prefill = pass.prefill().norm(new OutputNorm(weight, 1e-6f, null));
      assertThat(HighWater.of(() -> attention.prefill(prefill))).isBetween(1L, ENOUGH);
    }
  }

  @Test
  void skippedSequencesTakeLittle() {
    try (Pass pass = new Pass(DType.F32, TOKENS, CHANNELS);
        Tensor slots = Tensor.of(new int[] {-1}, 1)) {
      Prefill prefill = pass.prefill().slots(slots);
      assertThat(HighWater.of(() -> attention.prefill(prefill))).isLessThan(ENOUGH);
    }
  }

  @Test
  void segmentsLeaveNothingBehind() {
    try (Pass pass = new Pass(DType.BF16, 2050, 1);
        Tensor dq = Tensor.allocate(DType.F32, pass.q().shape())) {
      Threads.use(2);
      Gradients gradients = new Gradients(pass.out()).outDq(dq);
      FlatMemory.assertFlat("prefill", 10_000, () -> attention.prefill(pass.prefill()));
      FlatMemory.assertFlat("backward", 1_000, () -> attention.backward(pass.prefill(), gradients));
    }
  }
}
