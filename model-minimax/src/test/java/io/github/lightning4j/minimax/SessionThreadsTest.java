package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Sessions, threads, and the end of a model. */
final class SessionThreadsTest {
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
  void manySessionsOnManyThreadsGiveEqualBits() throws Exception {
    float[] expected;
    try (Session session = model.newSession()) {
      session.prefill(PROMPT);
      expected = session.decode(5).clone();
    }
    ExecutorService threads = Executors.newFixedThreadPool(6);
    try {
      List<Future<float[]>> results = new ArrayList<>();
      for (int i = 0; i < 24; i++) {
        results.add(
            threads.submit(
                () -> {
                  try (Session session = model.newSession()) {
                    session.prefill(PROMPT);
                    return session.decode(5).clone();
                  }
                }));
      }
      for (Future<float[]> result : results) {
        assertThat(result.get()).isEqualTo(expected);
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void twoThreadsInOneSessionAreRefused() throws Exception {
    try (Session session = model.newSession();
        Tensor logits = Tensor.allocate(DType.F32, 1, 2048)) {
      CountDownLatch inside = new CountDownLatch(1);
      CountDownLatch goOn = new CountDownLatch(1);
      Thread other =
          new Thread(
              () ->
                  session.forward(
                      new int[] {1},
                      new ForwardObserver() {
                        @Override
                        public void finalNorm(Tensor normed) {
                          inside.countDown();
                          await(goOn);
                        }
                      },
                      logits));
      other.start();
      await(inside);
      assertThatThrownBy(() -> session.prefill(2))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("session is in use by another thread");
      assertThatThrownBy(session::close).hasMessage("session is in use by another thread");
      assertThatThrownBy(() -> Session.decode(List.of(session), new int[] {3}))
          .hasMessage("session is in use by another thread");
      goOn.countDown();
      other.join();
      assertThat(session.position()).isEqualTo(1);
      session.prefill(2);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aModelInUseIsNotClosed() {
    MiniMaxModel own = Nano.load();
    try (Tensor logits = Tensor.allocate(DType.F32, 1, 2048)) {
      Session session = own.newSession();
      ForwardObserver closing =
          new ForwardObserver() {
            @Override
            public void finalNorm(Tensor normed) {
              Thread other =
                  new Thread(
                      () ->
                          assertThatThrownBy(own::close)
                              .isInstanceOf(IllegalStateException.class)
                              .hasMessageContaining("in use by a running session"));
              AtomicReference<Throwable> failure = new AtomicReference<>();
              other.setUncaughtExceptionHandler((thread, e) -> failure.set(e));
              other.start();
              join(other);
              assertThat(failure.get()).isNull();
            }
          };
      session.forward(new int[] {1}, closing, logits);
      assertThat(session.position()).isEqualTo(1);
      session.close();
    }
    own.close();
    assertThatThrownBy(own::newSession)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("is closed");
    assertThatThrownBy(own::close).hasMessageContaining("closed already");
  }

  @Test
  void aSessionOfAClosedModelSaysSo() {
    MiniMaxModel own = Nano.load();
    Session session = own.newSession();
    own.close();
    assertThatThrownBy(() -> session.prefill(1))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("is closed");
    session.close();
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
