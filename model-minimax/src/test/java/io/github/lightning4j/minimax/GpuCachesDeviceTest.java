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
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

  @Test
  void readsAndWritesAsTheCpuDoes() {
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel here = cpu(kv2());
        MiniMaxModel there = gpu(kv2());
        Session expected = here.newSession();
        Session actual = there.newSession()) {
      assertThat(actual.packedBitsPerElement()).isZero();
      int[] prompt = ids(1, 27);
      assertClose("prompt in two chunks", actual.prefill(prompt), expected.prefill(prompt));
      for (int id : ids(2, 3)) { // the last one by a graph
        assertClose("decode", actual.decode(id), expected.decode(id));
      }
      assertClose("more", actual.prefill(ids(3, 5)), expected.prefill(ids(3, 5)));
      assertClose("decode behind", actual.decode(5), expected.decode(5));
      checkForward(actual, expected);
      assertThat(actual.position()).isEqualTo(expected.position());
      assertThat(actual.packedBitsPerElement()).isEqualTo(2 + 8.0 / 64);
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void promptsReadThemselvesAsQuantizedWhereTheFormatHasThemDoSo() {
    readsItselfAsQuantized("quarot-4", SHORT);
  }

  /** Packed keys and sinks, which are turned when they are read. */
  @Test
  void readsKeysThatWereStoredBeforeTheRotaryEmbedding() {
    readsItselfAsQuantized("rotatekv-2", SHORT.withRecentWindow(0, 1));
  }

  private static void readsItselfAsQuantized(String name, TokenPolicy tokens) {
    KvCacheFormat format = format(name).withTokens(tokens.withQuantizedPrefill(true));
    try (MiniMaxModel here = cpu(format);
        MiniMaxModel there = gpu(format);
        Session session = there.newSession()) {
      session.prefill(ids(1, 13));
      session.decode(7);
      session.prefill(8, 9);
      check(here, session, ids(1, 13), new int[] {7}, new int[] {8, 9});
    }
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

  @Test
  void batchesOfEveryKindAndForksGoTheirOwnWay() {
    try (MiniMaxModel here = cpu(kv2());
        MiniMaxModel there = gpu(kv2());
        Session a = there.newSession();
        Session b = there.newSession();
        Session c = there.newSession()) {
      a.prefill(ids(1, 12));
      b.prefill(3);
      // Behind quantized tokens, one token of a first prompt, and single tokens.
      Session.prefill(List.of(a, c, b), List.of(ids(3, 3), ids(4, 1), ids(5, 1)));
      try (Session fork = a.fork()) {
        Session.decode(List.of(c, fork, a), new int[] {7, 8, 9});
        check(here, fork, ids(1, 12), ids(3, 3), new int[] {8});
      }
      Session.decode(List.of(b, a), new int[] {10, 11});
      check(here, a, ids(1, 12), ids(3, 3), new int[] {9}, new int[] {11});
      check(here, b, new int[] {3}, ids(5, 1), new int[] {10});
      check(here, c, ids(4, 1), new int[] {7});
    }
  }

  private static void check(MiniMaxModel here, Session session, int[]... parts) {
    try (Session alone = here.newSession()) {
      for (int[] part : parts) {
        alone.prefill(part);
      }
      assertThat(session.position()).isEqualTo(alone.position());
      assertClose("session", session.logits(), alone.logits());
    }
  }

  @Test
  void readsTheCalibrationOfTheCpu(@TempDir Path folder) {
    Path file = folder.resolve("nano.safetensors");
    try (MiniMaxModel model = Nano.load()) {
      int[] text = ids(9, 60);
      CalibrationFile.write(file, KvCalibration.of(model, text, 30, "any", ProgressListener.NONE));
    }
    float[] calibrated = behindAPrompt(kv2().withCalibration(file), true);
    assertThat(behindAPrompt(kv2(), false)).isNotEqualTo(calibrated);
  }

  private static float[] behindAPrompt(KvCacheFormat format, boolean compared) {
    try (MiniMaxModel there = gpu(format);
        Session session = there.newSession()) {
      session.prefill(ids(1, 14));
      float[] logits = session.decode(7).clone();
      if (compared) {
        try (MiniMaxModel here = cpu(format)) {
          check(here, session, ids(1, 14), new int[] {7});
        }
      }
      return logits;
    }
  }

  @Test
  void promptsGiveTheirPagesBackAndRefusalsChangeNothing() {
    // A page of bf16 and one of 2 bits; half of the bytes are two of the first kind.
    long page = 64 << 10;
    long packed = page * 17 / 128;
    try (MiniMaxModel there = gpu(kv2(), PageBudget.ofBytes(4 * page));
        Session session = there.newSession();
        Session other = there.newSession();
        Session third = there.newSession()) {
      session.prefill(ids(1, 74));
      assertThat(session.cacheBytes()).isEqualTo(page + 2 * packed); // it has held one more
      other.prefill(3);
      assertThatThrownBy(() -> third.prefill(3)).isInstanceOf(PageBudgetException.class);
      session.decode(4);
      assertThat(session.position()).isEqualTo(75);
      assertThat(third.position()).isZero();
      assertThat(third.cacheBytes()).isZero();
    }
  }

  @Test
  void namesTheFormatsThatItHas() {
    for (String name : List.of("f32", "f16", "rotatekv-3", "quarot-3", "kivi-2", "akvq-2")) {
      assertThatThrownBy(() -> gpu(KvCacheFormat.of(name)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("a GPU has keys and values in bf16, int8, rotatekv-4, naive-4,")
          .hasMessageContaining("kv2-affine")
          .hasMessageContaining("got " + name);
    }
  }
}
