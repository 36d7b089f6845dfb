package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class ThreadsTest {
  private final int before = Threads.count();

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  private static void assertEachOnce(int n, int grain) {
    AtomicIntegerArray visits = new AtomicIntegerArray(n);
    Threads.forRanges(
        n,
        grain,
        (from, to) -> {
          assertThat(from % grain).isZero();
          assertThat(to == n || to % grain == 0).isTrue();
          assertThat(from).isLessThan(to);
          for (long i = from; i < to; i++) {
            visits.incrementAndGet((int) i);
          }
        });
    for (int i = 0; i < n; i++) {
      assertThat(visits.get(i)).as("index %s of %s, grain %s", i, n, grain).isEqualTo(1);
    }
  }

  @Test
  void visitsEveryIndexOnce() {
    for (int threads : new int[] {1, 2, 3, 8}) {
      Threads.use(threads);
      assertThat(Threads.count()).isEqualTo(threads);
      for (int n : new int[] {0, 1, 2, 3, 7, 8, 31, 64, 65, 100, 257}) {
        for (int grain : new int[] {1, 2, 3, 16, 48, 64, 100, 1000}) {
          assertEachOnce(n, grain);
        }
      }
    }
  }

  @Test
  void worksOnSeveralThreads() {
    Threads.use(3);
    CountDownLatch together = new CountDownLatch(3);
    Set<Thread> seen = ConcurrentHashMap.newKeySet();
    // Each range waits for the others, which only distinct threads can do.
    Threads.forRanges(
        6,
        1,
        (from, to) -> {
          seen.add(Thread.currentThread());
          together.countDown();
          await(together);
        });
    assertThat(seen).hasSize(3).contains(Thread.currentThread());
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void throwsTheFirstFailureAfterAllRangesEnded() {
    Threads.use(4);
    for (int round = 0; round < 10; round++) {
      AtomicLong done = new AtomicLong();
      IllegalStateException first = new IllegalStateException("first");
      CountDownLatch failed = new CountDownLatch(1);
      assertThatThrownBy(
              () ->
                  Threads.forRanges(
                      8,
                      1,
                      (from, to) -> {
                        done.addAndGet(to - from);
                        if (from == 0) {
                          failed.countDown();
                          throw first;
                        }
                        if (from == 7) {
                          await(failed);
                          pause();
                          throw new IllegalStateException("later");
                        }
                      }))
          .isSameAs(first);
      assertThat(done).hasValue(8);
    }
  }

  private static void pause() {
    try {
      Thread.sleep(200);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void passesErrorsOnAndStaysUsable() {
    for (int threads : new int[] {1, 3}) {
      Threads.use(threads);
      assertThatThrownBy(
              () ->
                  Threads.forRanges(
                      100,
                      1,
                      (from, to) -> {
                        throw new AssertionError("error");
                      }))
          .isInstanceOf(AssertionError.class)
          .hasMessage("error");
      assertEachOnce(100, 1);
    }
  }

  @Test
  void runsNestedCallsInPlace() {
    Threads.use(4);
    AtomicIntegerArray visits = new AtomicIntegerArray(64 * 64);
    Threads.forRanges(
        64,
        1,
        (from, to) -> {
          Thread outer = Thread.currentThread();
          for (long i = from; i < to; i++) {
            int row = (int) i * 64;
            Threads.forRanges(
                64,
                1,
                (a, b) -> {
                  assertThat(Thread.currentThread()).isSameAs(outer);
                  for (long j = a; j < b; j++) {
                    visits.incrementAndGet(row + (int) j);
                  }
                });
          }
        });
    for (int i = 0; i < visits.length(); i++) {
      assertThat(visits.get(i)).isEqualTo(1);
    }
  }

  @Test
  void servesConcurrentCallers() throws Exception {
    Threads.use(3);
    callersAtOnce(() -> assertEachOnce(257, 2));
  }

  @Test
  void changesItsSizeWhileItWorks() throws Exception {
    Threads.use(2);
    ExecutorService changer = Executors.newSingleThreadExecutor();
    try {
      Future<?> changes =
          changer.submit(
              () -> {
                for (int i = 0; i < 200; i++) {
                  Threads.use(1 + i % 4);
                }
              });
      callersAtOnce(() -> assertEachOnce(100, 3));
      changes.get(30, TimeUnit.SECONDS);
    } finally {
      changer.shutdown();
    }
    assertThat(Threads.count()).isEqualTo(4);
    assertEachOnce(100, 3);
  }

  private static void callersAtOnce(Runnable work) throws Exception {
    ExecutorService callers = Executors.newFixedThreadPool(4);
    try {
      List<Future<?>> results = new ArrayList<>();
      for (int caller = 0; caller < 4; caller++) {
        results.add(
            callers.submit(
                () -> {
                  for (int i = 0; i < 100; i++) {
                    work.run();
                  }
                }));
      }
      for (Future<?> result : results) {
        result.get(30, TimeUnit.SECONDS);
      }
    } finally {
      callers.shutdown();
    }
  }

  @Test
  void endsTheWorkersOfAnOldPool() throws InterruptedException {
    Threads.use(7);
    Threads.use(1);
    long alive = Long.MAX_VALUE;
    for (int i = 0; i < 200 && alive > 0; i++) {
      Thread.sleep(10);
      alive =
          Thread.getAllStackTraces().keySet().stream()
              .filter(thread -> thread.getName().startsWith("lightning4j-"))
              .count();
    }
    assertThat(alive).isZero();
  }

  @Test
  void refusesWhatCannotBe() {
    assertThatThrownBy(() -> Threads.use(0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("threads: expected 1 to 1024, got 0");
    assertThatThrownBy(() -> Threads.forRanges(-1, 1, (from, to) -> {}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("expected n >= 0 and grain >= 1, got -1 and 1");
    assertThatThrownBy(() -> Threads.forRanges(1, 0, (from, to) -> {}))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
