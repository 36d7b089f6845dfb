package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sessions with quantized caches on a GPU against the same sessions on the CPU. */
@RequiresCuda
final class GpuCachesDeviceTest {
  private static final PageBudget BUDGET = PageBudget.ofBytes(4 << 20);

  /** Codes of 2 bits move by a level where activations in bf16 are off. */
  private static final double BOUND = 5e-3;

  /** A short window and few sinks, so that short texts have tokens of every kind. */
  private static final TokenPolicy SHORT =
      TokenPolicy.NONE.withMassiveActivations(3).withFirstTokens(2).withRecentWindow(9, 1);

  @BeforeAll
  static void needsTheModel() {
    assumeTrue(Files.exists(Nano.FOLDER), () -> "no " + Nano.FOLDER);
  }

  /** Of the CPU; 16 bits are bf16 there too. */
  private static KvCacheFormat format(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    return new KvCacheFormat(DType.BF16, format.policy(), Optional.empty(), Optional.empty());
  }

  private static KvCacheFormat kv2() {
    return format("kv2").withTokens(SHORT);
  }

  private static MiniMaxModel cpu(KvCacheFormat format) {
    return MiniMaxModel.load(Nano.FOLDER, LoadOptions.DEFAULT.withCacheFormat(format));
  }

  private static MiniMaxModel gpu(KvCacheFormat format) {
    return gpu(format, BUDGET);
  }

  private static MiniMaxModel gpu(KvCacheFormat format, PageBudget budget) {
    return MiniMaxModel.load(
        Nano.FOLDER,
        LoadOptions.DEFAULT
            .withCacheFormat(format)
            .withDevice(Device.cuda(0))
            .withCacheBudget(budget)
            .withPrefillChunk(24));
  }

  private static int[] ids(long seed, int count) {
    return new Random(seed).ints(count, 3, 2000).toArray();
  }

  private static void assertClose(String what, float[] actual, float[] expected) {
    Closeness.assertNmse(what, doubles(actual), doubles(expected), BOUND);
  }

  private static double[] doubles(float[] values) {
    double[] all = new double[values.length];
    for (int i = 0; i < all.length; i++) {
      all[i] = values[i];
    }
    return all;
  }

  @ParameterizedTest
  @CsvSource({"kv2, 2.25", "quarot-4, 4.5"})
  void readsAndWritesAsTheCpuDoes(String name, double bits) {
    KvCacheFormat format = name.equals("kv2") ? kv2() : format(name);
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel here = cpu(format);
        MiniMaxModel there = gpu(format);
        Session expected = here.newSession();
        Session actual = there.newSession()) {
      int[] prompt = ids(1, 29);
      assertClose("prompt in two chunks", actual.prefill(prompt), expected.prefill(prompt));
      for (int id : ids(2, 3)) { // the last one by a graph
        assertClose("decode", actual.decode(id), expected.decode(id));
      }
      assertClose("more", actual.prefill(ids(3, 5)), expected.prefill(ids(3, 5)));
      assertClose("decode behind", actual.decode(5), expected.decode(5));
      checkForward(actual, expected);
      assertThat(actual.position()).isEqualTo(expected.position());
      assertThat(actual.packedBitsPerElement()).isEqualTo(bits);
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  private static void checkForward(Session actual, Session expected) {
    int[] more = ids(7, 4);
    int vocabulary = expected.model().config().vocabSize();
    try (Tensor right = Tensor.allocate(DType.F32, more.length, vocabulary);
        Tensor out = Tensor.allocate(DType.F32, right.shape())) {
      expected.forward(more, ForwardObserver.NONE, right);
      actual.forward(more, ForwardObserver.NONE, out);
      Closeness.assertNmse("all rows", out.toDoubles(), right.toDoubles(), BOUND);
    }
  }
}
