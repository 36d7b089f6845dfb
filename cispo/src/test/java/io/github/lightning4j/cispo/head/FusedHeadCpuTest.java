package io.github.lightning4j.cispo.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.cispo.internal.CispoKernels;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class FusedHeadCpuTest extends FusedHeadContract {
  @BeforeAll
  static void needsNativeLibrary() {
    assumeTrue(
        CispoKernels.library().availability().isAvailable(), CispoKernels.library().toString());
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }

  /** Several tiles of tokens, ranges of words, depths of the width, and blocks of logits. */
  @ParameterizedTest
  @CsvSource({"500, 4700, 5", "485, 1030, 300", "4400, 2000, 3", "3, 9000, 20"})
  void matchesThePlainFormulaBeyondOneTile(int tokens, int words, int width) {
    try (HeadCase of = new HeadCase(tokens, words, width, DType.F32, DType.BF16, 1)) {
      assertMatchesPlain(tokens + " " + words + " " + width, of);
    }
  }

  /** Three ranges of words forward, two blocks of tokens and six of words backward. */
  @Test
  void threadsChangeNoBitBeyondOneBlock() {
    assertThreadsChangeNoBit(4400, 9000, 3);
  }

  /** The vocabulary of MiniMax-M1 over 4,096 tokens, whose logits would take 3 GiB. */
  @Test
  void takesLessThan64MebibytesBesideItsArguments() throws InterruptedException {
    try (HeadCase of = new HeadCase(4096, 200_064, 2, DType.F32, DType.BF16, 1)) {
      long before = Memory.liveBytes();
      AtomicLong most = new AtomicLong();
      AtomicBoolean done = new AtomicBoolean();
      Thread watch =
          new Thread(
              () -> {
                while (!done.get()) {
                  most.accumulateAndGet(Memory.liveBytes() - before, Math::max);
                  Thread.onSpinWait();
                }
              });
      watch.start();
      head().forward(of.input, of.output);
      long forward = most.getAndSet(0);
      head().backward(of.input, of.output, of.gradients());
      done.set(true);
      watch.join();
      assertThat(forward).isBetween(1L << 20, 64L << 20);
      assertThat(most.get()).isBetween(32L << 20, 64L << 20);
    }
  }
}
