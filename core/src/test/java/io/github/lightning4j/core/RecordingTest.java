package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.nn.RowOperators;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
final class RecordingTest {
  private final int before = Threads.count();

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  /** Adds up a run of small and large parts, each of which needs what the one before it wrote. */
  private static final class Chain {
    final long[] values;
    final AtomicInteger runs = new AtomicInteger();
    final Recording recording;

    Chain(int size, int parts) {
      values = new long[size];
      recording =
          Recording.of(
              () -> {
                Recording.once(
                    () -> {
                      runs.incrementAndGet();
                      Arrays.fill(values, 1);
                    });
                for (int part = 0; part < parts; part++) {
                  long grain = part % 3 == 0 ? size : 1 + part % 5;
                  AtomicInteger first = new AtomicInteger();
                  Recording.once(() -> first.set((int) values[size - 1]));
                  Recording.forRanges(
                      size,
                      grain,
                      (from, to) -> {
                        for (long i = from; i < to; i++) {
                          values[(int) i] += first.get();
                        }
                      });
                }
              });
    }

    void check(int parts) {
      recording.run();
      assertThat(values).containsOnly(1L << parts);
    }
  }

  @Test
  void everyPartSeesWhatThoseBeforeItWrote() {
    for (int threads : new int[] {1, 2, 3, 8}) {
      Threads.use(threads);
      for (int size : new int[] {1, 2, 7, 64, 257}) {
        Chain chain = new Chain(size, 20);
        assertThat(chain.runs.get()).as("nothing runs while it is recorded").isZero();
        for (int i = 1; i <= 50; i++) {
          chain.check(20);
          assertThat(chain.runs.get()).isEqualTo(i);
        }
      }
    }
  }

  @Test
  void threadsMayChangeBetweenRuns() {
    Chain chain = new Chain(65, 20);
    for (int i = 0; i < 40; i++) {
      Threads.use(1 + i % 4);
      chain.check(20);
    }
  }

  @Test
  void whatTensorsHoldIsCheckedInEveryRun() {
    try (Tensor table = Tensor.allocate(DType.F32, 5, 8);
        Tensor ids = Tensor.of(new int[] {4, 0}, 2);
        Tensor out = Tensor.allocate(DType.F32, 2, 8)) {
      Recording recording = Recording.of(() -> RowOperators.best().gatherRows(table, ids, out));
      recording.run();
      ids.accessor().setLong(1, 1 << 30);
      assertThatThrownBy(recording::run)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("ids[1]");
    }
  }

  @Test
  void runsBesideOthersAndFromInsideATask() throws Exception {
    Threads.use(3);
    ExecutorService callers = Executors.newFixedThreadPool(4);
    try {
      List<Future<?>> done = new ArrayList<>();
      for (int caller = 0; caller < 4; caller++) {
        done.add(
            callers.submit(
                () -> {
                  Chain chain = new Chain(33, 12);
                  for (int i = 0; i < 300; i++) {
                    chain.check(12);
                  }
                }));
      }
      for (Future<?> each : done) {
        each.get(100, TimeUnit.SECONDS);
      }
    } finally {
      callers.shutdownNow();
    }
    Chain inside = new Chain(33, 12);
    Threads.forRanges(8, 1, (from, to) -> synchronizedCheck(inside));
    assertThat(inside.runs.get()).isPositive();
  }

  private static void synchronizedCheck(Chain chain) {
    synchronized (chain) {
      chain.check(12);
    }
  }

  @Test
  void theSizeOfAPartMayComeFromThoseBeforeIt() {
    Threads.use(2);
    int[] size = new int[1];
    AtomicIntegerArray visits = new AtomicIntegerArray(100);
    AtomicInteger after = new AtomicInteger();
    Recording recording =
        Recording.of(
            () -> {
              Recording.once(() -> size[0] = (size[0] + 33) % 100);
              Recording.forRanges(
                  () -> size[0],
                  4,
                  (from, to) -> {
                    for (long i = from; i < to; i++) {
                      visits.incrementAndGet((int) i);
                    }
                  });
              Recording.once(after::incrementAndGet);
            });
    int[] expected = new int[100];
    for (int run = 1; run <= 100; run++) { // each size from 0 to 99 once
      recording.run();
      for (int i = 0; i < size[0]; i++) {
        expected[i]++;
      }
    }
    for (int i = 0; i < 100; i++) {
      assertThat(visits.get(i)).isEqualTo(expected[i]);
    }
    assertThat(after.get()).isEqualTo(100);
  }

  @Test
  void aFailureEndsTheRunAndTheNextOneIsWhole() {
    for (int threads : new int[] {1, 2, 5}) {
      Threads.use(threads);
      boolean[] broken = {true};
      AtomicInteger behind = new AtomicInteger();
      Recording recording =
          Recording.of(
              () -> {
                Recording.forRanges(
                    40,
                    1,
                    (from, to) -> {
                      if (broken[0] && from <= 17 && 17 < to) {
                        throw new IllegalArgumentException("row 17");
                      }
                    });
                Recording.forRanges(40, 1, (from, to) -> behind.addAndGet((int) (to - from)));
                Recording.between(behind::incrementAndGet);
              });
      for (int i = 0; i < 20; i++) {
        assertThatThrownBy(recording::run)
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessage("row 17");
      }
      assertThat(behind.get()).isZero();
      broken[0] = false;
      recording.run();
      assertThat(behind.get()).isEqualTo(41);
    }
  }

  @Test
  void operatorsGiveTheSameBitsAsCalledOneByOne() {
    Random random = new Random(1);
    for (int rows : new int[] {1, 2, 5, 16}) {
      try (Tensor x = floats(random, rows, 72);
          Tensor norm = floats(random, 72);
          Tensor w = floats(random, 200, 72);
          Tensor sum = Tensor.allocate(DType.F32, rows, 72);
          Tensor normed = Tensor.allocate(DType.F32, rows, 72);
          Tensor out = Tensor.allocate(DType.F32, rows, 200)) {
        Runnable calls =
            () -> {
              RowOperators.best().scaledSum(x, 1, x, 0.5f, sum);
              RowOperators.best().rmsNorm(sum, norm, 1e-5f, normed);
              Gemm.best().multiply(normed, w, out);
            };
        Recording recording = Recording.of(calls);
        for (int run = 0; run < 3; run++) {
          calls.run();
          float[] direct = out.toFloats();
          out.accessor().set(7, Double.NaN);
          recording.run();
          assertThat(out.toFloats()).isEqualTo(direct);
          x.accessor().set(run, random.nextGaussian());
        }
      }
    }
  }

  private static Tensor floats(Random random, long... shape) {
    int n = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, shape);
  }

  @Test
  void refusesWhatCannotBeRecorded() {
    Tensor x = Tensor.allocate(DType.F32, 2, 4);
    Tensor w = Tensor.allocate(DType.F32, 3, 4);
    Tensor out = Tensor.allocate(DType.F32, 2, 3);
    assertThatThrownBy(() -> Recording.of(() -> Threads.forRanges(9, 1, (from, to) -> {})))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("Recording.between");
    assertThatThrownBy(() -> Recording.of(() -> Gemm.best().multiply(x, w, x)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("out: expected shape");
    assertThatThrownBy(() -> Recording.of(() -> Recording.of(() -> {})))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("already");
    assertThat(Recording.isActive()).as("ends also where it fails").isFalse();
    Recording recording = Recording.of(() -> Gemm.best().multiply(x, w, out));
    recording.run();
    assertThatThrownBy(() -> Recording.of(recording::run))
        .isInstanceOf(IllegalStateException.class);
    w.close();
    assertThatThrownBy(recording::run)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
    x.close();
    out.close();
  }
}
