package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import java.nio.file.Files;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole model on a GPU against the same model on the CPU. */
@RequiresCuda
final class GpuModelDeviceTest {
  /** 128 pages of 64 tokens of 8 layers' caches at most; nano has one of them in bf16. */
  private static final PageBudget BUDGET = PageBudget.ofBytes(2 << 20);

  /** Activations of 8 digits after the point of two, through 8 layers. */
  private static final double BOUND = 2e-3;

  /** The repository always has it; a GPU host that has only jars may lack it. */
  @BeforeAll
  static void needsTheModel() {
    assumeTrue(Files.exists(Nano.FOLDER), () -> "no " + Nano.FOLDER);
  }

  private static LoadOptions gpu() {
    return LoadOptions.DEFAULT
        .withDevice(Device.cuda(0))
        .withCacheBudget(BUDGET)
        .withPrefillChunk(24);
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
  @ValueSource(strings = {"bf16", "int4"})
  void readsAndWritesAsTheCpuDoes(String format) {
    WeightFormats weights = WeightFormats.parse(format);
    long before = CudaMemory.liveBytes();
    // The reference: native products over codes of 4 bits round activations to 8 bits.
    LoadOptions exact = LoadOptions.DEFAULT.withBackend(Backend.REFERENCE).withWeights(weights);
    try (MiniMaxModel here = MiniMaxModel.load(Nano.FOLDER, exact);
        MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu().withWeights(weights));
        Session expected = here.newSession();
        Session actual = there.newSession()) {
      int[] prompt = ids(1, 41);
      assertClose("prompt in two chunks", actual.prefill(prompt), expected.prefill(prompt));
      for (int id : ids(2, 4)) {
        assertClose("decode", actual.decode(id), expected.decode(id));
      }
      assertClose("more", actual.prefill(ids(3, 2)), expected.prefill(ids(3, 2)));
      assertClose("decode behind", actual.decode(5), expected.decode(5));
      assertThat(actual.position()).isEqualTo(expected.position());
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void runsSessionsOfDifferentLengthsTogether() {
    try (MiniMaxModel here = Nano.load();
        MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu());
        Session a = there.newSession();
        Session b = there.newSession();
        Session c = there.newSession()) {
      a.prefill(ids(1, 20));
      b.prefill(ids(2, 3));
      // One token, a stretch, and one token again: singles come first inside.
      Session.prefill(List.of(a, c, b), List.of(ids(3, 1), ids(4, 19), ids(5, 1)));
      Session.decode(List.of(c, b, a), new int[] {7, 8, 9});
      Session.decode(List.of(b, a, c), new int[] {10, 11, 12});
      Session.decode(List.of(a, c), new int[] {13, 14});
      check(here, a, ids(1, 20), ids(3, 1), new int[] {9, 11, 13});
      check(here, b, ids(2, 3), ids(5, 1), new int[] {8, 10});
      check(here, c, ids(4, 19), new int[0], new int[] {7, 12, 14});
    }
  }

  @Test
  void stepsThatWereRecordedEndWhereMemoryMoves() {
    try (MiniMaxModel here = Nano.load();
        MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu());
        Session a = there.newSession()) {
      a.prefill(ids(1, 4));
      a.decode(5);
      a.decode(6);
      a.decode(7);
      try (Session b = there.newSession();
          Session c = there.newSession()) { // more states than there was room for
        a.decode(8);
        b.prefill(ids(2, 24)); // more rows than any pass before
        a.decode(9);
        a.decode(10);
        c.prefill(1, 2);
        check(here, b, ids(2, 24));
      }
      check(here, a, ids(1, 4), new int[] {5, 6, 7, 8, 9, 10});
    }
  }

  private static void check(MiniMaxModel here, Session session, int[]... parts) {
    try (Session alone = here.newSession()) {
      for (int[] part : parts) {
        if (part.length > 0) {
          alone.prefill(part);
        }
      }
      assertThat(session.position()).isEqualTo(alone.position());
      assertClose("session", session.logits(), alone.logits());
    }
  }

  @Test
  void slotsOfClosedSessionsBeginAnew() {
    try (MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu())) {
      float[] first;
      try (Session session = there.newSession()) {
        first = session.prefill(ids(1, 9)).clone();
        session.decode(4);
      }
      long held = CudaMemory.liveBytes();
      try (Session session = there.newSession()) {
        assertThat(session.prefill(ids(1, 9))).isEqualTo(first);
      }
      assertThat(CudaMemory.liveBytes()).isEqualTo(held);
    }
  }

  @Test
  void forksGoTheirOwnWay() {
    try (MiniMaxModel here = Nano.load();
        MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu());
        Session session = there.newSession()) {
      session.prefill(ids(1, 66)); // more than a page
      try (Session fork = session.fork()) {
        assertThat(fork.logits()).isEqualTo(session.logits());
        session.decode(5);
        fork.decode(6);
        fork.decode(7);
        check(here, fork, ids(1, 66), new int[] {6, 7});
      }
      session.decode(8);
      check(here, session, ids(1, 66), new int[] {5, 8});
    }
  }

  @Test
  void givesTheLogitsOfAllRows() {
    int[] prompt = ids(6, 18);
    try (MiniMaxModel here = Nano.load();
        MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu());
        Session expected = here.newSession();
        Session actual = there.newSession();
        Tensor right = Tensor.allocate(DType.F32, 18, here.config().vocabSize());
        Tensor out = Tensor.allocate(DType.F32, right.shape())) {
      expected.forward(prompt, ForwardObserver.NONE, right);
      actual.forward(prompt, ForwardObserver.NONE, out);
      Closeness.assertNmse("all rows", out.toDoubles(), right.toDoubles(), BOUND);
    }
  }

  @Test
  void refusesWhatTheBudgetHasNoPagesForAndGoesOn() {
    LoadOptions few = gpu().withCacheBudget(PageBudget.ofBytes(4L * 64 * 256 + 1));
    try (MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, few);
        Session other = there.newSession()) {
      try (Session session = there.newSession()) {
        session.prefill(ids(1, 10));
        assertThatThrownBy(() -> other.prefill(1, 2)).isInstanceOf(PageBudgetException.class);
        session.decode(3);
      }
      other.prefill(1, 2);
      assertThat(other.position()).isEqualTo(2);
    }
  }

  @Test
  void refusesWhatRunsOnTheCpuOnly() {
    try (MiniMaxModel there = MiniMaxModel.load(Nano.FOLDER, gpu());
        Session session = there.newSession()) {
      session.prefill(1, 2, 3);
      assertThatThrownBy(() -> there.newSession(KvCacheFormat.of("akvq-2")))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("one format");
      try (Tensor out = Tensor.allocate(DType.F32, 1, there.config().vocabSize())) {
        ForwardObserver observer = new ForwardObserver() {};
        assertThatThrownBy(() -> session.forward(new int[] {1}, observer, out))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("observer");
      }
      session.decode(4);
    }
    assertThatThrownBy(
            () -> MiniMaxModel.load(Nano.FOLDER, gpu().withCacheFormat(KvCacheFormat.of("akvq-2"))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("akvq-2");
    assertThatThrownBy(() -> MiniMaxModel.load(Nano.FOLDER, gpu().withDevice(Device.cuda(9))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("cuda:9");
  }
}
