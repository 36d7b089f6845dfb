package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SessionTest {
  private static final int[] PROMPT = IntStream.range(0, 100).map(i -> i * 37 % 2048).toArray();
  private static MiniMaxModel model;

  @BeforeAll
  static void load() {
    model = Nano.load();
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void aForkGoesItsOwnWay() {
    try (Session session = model.newSession()) {
      session.prefill(PROMPT);
      try (Session fork = session.fork()) {
        assertThat(fork.logits()).isEqualTo(session.logits());
        float[] here = session.decode(5).clone();
        fork.decode(900);
        float[] there = fork.decode(901).clone();
        assertThat(there).isNotEqualTo(here);
        assertThat(fork.position()).isEqualTo(session.position() + 1);
        try (Session alone = model.newSession()) {
          alone.prefill(PROMPT);
          assertThat(alone.decode(5)).isEqualTo(here);
          session.decode(6);
          assertThat(alone.decode(6)).isEqualTo(session.logits());
        }
      }
    }
  }

  @Test
  void aSnapshotGoesOnAsIfNothingHadHappened(@TempDir Path temp) {
    Path file = temp.resolve("session.safetensors");
    try (Session session = model.newSession()) {
      session.prefill(PROMPT);
      session.snapshot(file);
      float[] expected = session.decode(7).clone();
      try (Session restored = model.restore(file)) {
        assertThat(restored.position()).isEqualTo(PROMPT.length);
        assertThat(restored.decode(7)).isEqualTo(expected);
      }
    }
  }

  @Test
  void aSnapshotOfNothingCanBeRestored(@TempDir Path temp) {
    Path file = temp.resolve("session.safetensors");
    try (Session session = model.newSession()) {
      session.snapshot(file);
      try (Session restored = model.restore(file)) {
        assertThat(restored.prefill(PROMPT)).isEqualTo(session.prefill(PROMPT));
      }
    }
  }

  @Test
  void aSnapshotOfAnotherModelOrHalfAFileIsRefused(@TempDir Path temp) throws Exception {
    Path file = temp.resolve("session.safetensors");
    try (Session session = model.newSession()) {
      session.prefill(1, 2, 3);
      session.snapshot(file);
    }
    try (MiniMaxModel other = MiniMaxModel.load(ModelFixture.root().resolve("small_qkv_eps/hf"))) {
      assertThatThrownBy(() -> other.restore(file))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("another kind");
    }
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 9));
    assertThatThrownBy(() -> model.restore(file)).isInstanceOf(CheckpointException.class);
    assertThatThrownBy(() -> model.restore(temp.resolve("none")))
        .isInstanceOf(CheckpointException.class);
  }

  @Test
  void severalSessionsInOneStepGiveWhatEachGivesAlone() {
    try (Session a = model.newSession();
        Session b = model.newSession();
        Session c = model.newSession();
        Session alone = model.newSession()) {
      a.prefill(PROMPT);
      b.prefill(1, 2, 3);
      c.prefill(9);
      alone.prefill(1, 2, 3);
      Session.decode(List.of(a, b, c), new int[] {4, 5, 6});
      alone.decode(5);
      Closeness.assertNmse(
          "batched", ModelContract.widen(b.logits()), ModelContract.widen(alone.logits()), 1e-10);
      assertThat(b.position()).isEqualTo(4);
    }
  }

  @Test
  void badTokensChangeNothing() {
    try (Session session = model.newSession()) {
      assertThatThrownBy(session::prefill)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("empty prompt");
      assertThatThrownBy(() -> session.prefill(1, 2048))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("ids[1]: expected 0 <= id < 2048 (the vocabulary), got 2048");
      assertThatThrownBy(() -> session.prefill(-1)).hasMessageContaining("got -1");
      assertThatThrownBy(() -> session.prefill(new int[8193]))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("ids: 8193 tokens after 0 do not fit the context of 8192");
      assertThat(session.position()).isZero();
      session.prefill(1);
    }
  }

  @Test
  void aClosedSessionSaysSo() {
    Session session = model.newSession();
    session.close();
    assertThatThrownBy(() -> session.prefill(1))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("session is closed");
    assertThatThrownBy(session::close).hasMessage("session is closed already");
    assertThatThrownBy(session::fork).hasMessage("session is closed");
  }

  @Test
  void aFailureInsideBreaksTheSessionOnly() {
    try (Session session = model.newSession();
        Tensor logits = Tensor.allocate(DType.F32, 1, 2048)) {
      ForwardObserver failing =
          new ForwardObserver() {
            @Override
            public void hidden(int layer, Tensor stream) {
              if (layer == 3) {
                throw new UnsupportedOperationException("enough");
              }
            }
          };
      assertThatThrownBy(() -> session.forward(new int[] {1}, failing, logits))
          .isInstanceOf(UnsupportedOperationException.class);
      assertThatThrownBy(() -> session.prefill(1))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("broken");
      try (Session next = model.newSession()) {
        next.prefill(1);
      }
    }
  }

  @Test
  void lookingShowsWhatAPassOverAllLogitsShows() {
    List<float[]> seen = new ArrayList<>();
    ForwardObserver observer =
        new ForwardObserver() {
          @Override
          public void rotated(int layer, Tensor query, Tensor key) {
            seen.add(key.toFloats());
          }

          @Override
          public void finalNorm(Tensor normed) {
            seen.add(new float[] {normed.size(0)});
          }
        };
    try (Session looked = model.newSession();
        Session passed = model.newSession();
        Tensor all = Tensor.allocate(DType.F32, PROMPT.length, 2048)) {
      passed.forward(PROMPT, observer, all);
      float[] logits = looked.observe(PROMPT, observer);
      assertThat(seen).hasSize(4);
      assertThat(seen.get(2)).hasSize(PROMPT.length * 256).isEqualTo(seen.get(0));
      assertThat(seen.get(1)).containsExactly(PROMPT.length);
      assertThat(seen.get(3)).containsExactly(1);
      Closeness.assertNmse(
          "last logits", widened(logits), widened(all.select(0, 99).toFloats()), 1e-10);
      assertThat(looked.logits()).isSameAs(logits);
      assertThat(looked.position()).isEqualTo(PROMPT.length);
      Closeness.assertNmse(
          "a step on", widened(looked.decode(3)), widened(passed.decode(3)), 1e-10);
    }
  }

  private static double[] widened(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  @Test
  void aFailedSnapshotLeavesTheSessionAsItWas(@TempDir Path temp) {
    try (Session session = model.newSession()) {
      session.prefill(1, 2);
      assertThatThrownBy(() -> session.snapshot(temp.resolve("none").resolve("x")))
          .isInstanceOf(UncheckedIOException.class);
      session.decode(3);
      assertThat(session.position()).isEqualTo(3);
    }
  }

  @Test
  void logitsThatDoNotFitChangeNothing() {
    try (Session session = model.newSession();
        Tensor narrow = Tensor.allocate(DType.F32, 2, 2047)) {
      assertThatThrownBy(() -> session.forward(new int[] {1, 2}, ForwardObserver.NONE, narrow))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("outLogits: expected shape [2, 2048], got [2, 2047]");
      assertThat(session.position()).isZero();
      session.prefill(1);
    }
  }

  @Test
  void memoryIsFlatOverAThousandSessions() {
    FlatMemory.assertFlat(
        "sessions",
        1000,
        () -> {
          try (Session session = model.newSession()) {
            session.prefill(1, 2, 3);
            session.decode(4);
          }
        });
  }

  @Test
  void sixteenBitCachesStayClose() {
    try (Session exact = model.newSession()) {
      exact.prefill(PROMPT);
      for (DType type : new DType[] {DType.BF16, DType.F16}) {
        try (MiniMaxModel rounded =
                MiniMaxModel.load(Nano.FOLDER, LoadOptions.DEFAULT.withCacheType(type));
            Session session = rounded.newSession()) {
          session.prefill(PROMPT);
          Closeness.assertNmse(
              type + " cache",
              ModelContract.widen(session.logits()),
              ModelContract.widen(exact.logits()),
              1e-4);
          assertThat(session.logits()).isNotEqualTo(exact.logits());
        }
      }
    }
  }
}
