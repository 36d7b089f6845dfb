package io.github.lightning4j.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.kernel.MachineLimits.Rate;
import io.github.lightning4j.core.testkit.ChildJvm;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** That limits are told where they can be, and that the loops do what they count; not how fast. */
final class MachineLimitsTest {
  private static void assumeLibrary() {
    assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  @Test
  void ratesAreThoseOfAMachine() {
    assumeLibrary();
    MachineLimits limits = MachineLimits.measure().orElseThrow();
    assertThat(limits.isa()).isEqualTo(CoreKernels.library().isa());
    assertThat(limits.threads()).isEqualTo(Threads.count());
    // A thousand times less or more would be a wrong unit or a loop that the compiler dropped.
    assertThat(both(limits.fma())).allMatch(rate -> rate > 1e8 && rate < 1e15);
    assertThat(Stream.of(limits.read(), limits.copy()).flatMap(MachineLimitsTest::both))
        .allMatch(rate -> rate > 1e7 && rate < 1e14);
    assertThat(limits.amx().stream().flatMap(MachineLimitsTest::both))
        .allMatch(rate -> rate > limits.fma().oneThread());
  }

  private static Stream<Double> both(Rate rate) {
    return Stream.of(rate.oneThread(), rate.allThreads());
  }

  @Test
  void tilesAreMeasuredOnlyWhereTheCpuHasThem() {
    assumeLibrary();
    boolean tiles = CoreKernels.library().isa() == Isa.AMX;
    assertThat(CpuFeatures.detected().contains("amx-bf16") || !tiles).isTrue();
    if (tiles) {
      assertThat(CoreKernels.amxChains(10)).isEqualTo(10L * 6 * 2 * 16 * 16 * 32);
    }
  }

  @Test
  void multiplyAddsAreCountedByTheWidthOfTheInstructionSet() {
    assumeLibrary();
    int width = CoreKernels.library().isa() == Isa.AVX2 ? 8 : 16;
    assertThat(CoreKernels.fmaChains(10)).isEqualTo(10L * 12 * width * 2);
  }

  @Test
  void copiesAllThatWasAskedForAndNoMore() {
    assumeLibrary();
    try (Memory from = Memory.allocate(1024);
        Memory to = Memory.allocate(1024)) {
      var source = Memory.pointer(from.address(), 1024).asByteBuffer();
      for (int i = 0; i < 1024; i++) {
        source.put(i, (byte) (i * 7 + 1));
      }
      CoreKernels.copyMemory(from.address(), to.address(), 128);
      var target = Memory.pointer(to.address(), 1024).asByteBuffer();
      for (int i = 0; i < 1024; i++) {
        assertThat(target.get(i)).as("byte %s", i).isEqualTo(i < 512 ? source.get(i) : 0);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0, 268435456",
    "33554432, 268435456",
    "100000001, 399507456",
    "1073741824, 1073741824"
  })
  void buffersAreFourTimesTheLargestCacheWithinBounds(long cache, long buffer) {
    assertThat(MachineLimits.bufferBytes(cache)).isEqualTo(buffer);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY})
  void refusesWhatIsNoRate(double rate) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new Rate(1, rate))
        .withMessage("allThreads: expected a positive number, got %s", rate);
  }

  @Test
  void areAbsentWithoutTheLibrary() {
    ChildJvm.Result child =
        new ChildJvm().with("lightning4j.reference", "true").run(MachineLimitsTest.class);
    assertThat(child.status()).as(child.output()).isZero();
    assertThat(child.output()).contains("limits: Optional.empty");
  }

  /** Tells the limits, in a child. */
  public static void main(String[] arguments) {
    System.out.println("limits: " + MachineLimits.measure());
  }
}
