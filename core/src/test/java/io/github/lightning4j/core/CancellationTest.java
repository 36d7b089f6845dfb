package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Work that is ended within its operators. */
@Timeout(60)
final class CancellationTest {
  private static final BooleanSupplier NEVER = () -> false;

  private final int before = Threads.count();

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  /** True from the question of this number on. */
  private static BooleanSupplier at(AtomicInteger asked, int question) {
    return () -> asked.incrementAndGet() >= question;
  }

  @Test
  void visitsEveryIndexOnceWhereNobodyCancels() {
    for (int threads : new int[] {1, 2, 3, 8}) {
      Threads.use(threads);
      for (int n : new int[] {0, 1, 7, 64, 257, 10_000}) {
        for (int grain : new int[] {1, 3, 16, 1000}) {
          AtomicIntegerArray visits = new AtomicIntegerArray(n);
          Threads.cancellable(
              NEVER,
              () ->
                  Threads.forRanges(
                      n,
                      grain,
                      (from, to) -> {
                        assertThat(from % grain).isZero();
                        assertThat(to == n || to % grain == 0).isTrue();
                        for (long i = from; i < to; i++) {
                          visits.incrementAndGet((int) i);
                        }
                      }));
          for (int i = 0; i < n; i++) {
            assertThat(visits.get(i)).as("%s of %s, grain %s", i, n, grain).isEqualTo(1);
          }
        }
      }
    }
  }

  /** Wherever a product of many rows is ended, what it made of the rows is given back. */
  @Test
  void productsLeaveNoMemoryBehind() {
    Threads.use(1);
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(1, DType.F32, 200, 96));
      Tensor w = scope.add(Cases.normal(2, DType.BF16, 300, 96));
      Tensor out = scope.allocate(DType.F32, 200, 300);
      List<Runnable> products = new ArrayList<>();
      products.add(() -> Gemm.best().multiply(a, w, out));
      for (QuantFormat format : List.of(QuantFormat.int8(64), QuantFormat.int4(32))) {
        QuantizedMatrix coded = scope.add(QuantizedMatrix.quantize(w, format));
        products.add(() -> Gemm.best().multiply(a, coded, out));
      }
      long live = Memory.liveBytes();
      for (Runnable product : products) {
        AtomicInteger questions = new AtomicInteger();
        Threads.cancellable(at(questions, Integer.MAX_VALUE), product);
        assertThat(questions.get()).isGreaterThanOrEqualTo(1);
        for (int question = 1; question <= questions.get(); question++) {
          BooleanSupplier cancelled = at(new AtomicInteger(), question);
          assertThatThrownBy(() -> Threads.cancellable(cancelled, product))
              .isInstanceOf(CancellationException.class);
          assertThat(Memory.liveBytes()).as("question %s", question).isEqualTo(live);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 8})
  void oneThreadRunsNothingAfterTheAnswer(int question) {
    Threads.use(1);
    AtomicInteger asked = new AtomicInteger();
    AtomicInteger ran = new AtomicInteger();
    assertThatThrownBy(
            () ->
                Threads.cancellable(
                    at(asked, question),
                    () -> Threads.forRanges(1000, 1, (from, to) -> ran.incrementAndGet())))
        .isInstanceOf(CancellationException.class)
        .hasMessage("cancelled within an operator; its output is half written");
    assertThat(ran).hasValue(Math.max(0, question - 2)); // the first is asked before all ranges
    assertThat(asked).hasValue(question);
  }

  /** Every worker is held in its first range until the caller has its answer. */
  @Test
  void allThreadsStopAndTheCallWaitsForThem() {
    Threads.use(4);
    for (int round = 0; round < 50; round++) {
      CountDownLatch answered = new CountDownLatch(1);
      AtomicInteger asked = new AtomicInteger();
      AtomicInteger begun = new AtomicInteger();
      AtomicInteger ended = new AtomicInteger();
      Thread caller = Thread.currentThread();
      AtomicInteger byCaller = new AtomicInteger();
      assertThatThrownBy(
              () ->
                  Threads.cancellable(
                      () -> {
                        if (asked.incrementAndGet() < 2) {
                          return false;
                        }
                        answered.countDown();
                        return true;
                      },
                      () ->
                          Threads.forRanges(
                              1000,
                              1,
                              (from, to) -> {
                                begun.incrementAndGet();
                                if (Thread.currentThread() == caller) {
                                  byCaller.incrementAndGet();
                                }
                                await(answered);
                                ended.incrementAndGet();
                              })))
          .isInstanceOf(CancellationException.class);
      assertThat(byCaller).hasValue(0);
      assertThat(ended).hasValue(begun.get());
    }
    AtomicInteger sum = new AtomicInteger();
    Threads.forRanges(100, 1, (from, to) -> sum.addAndGet((int) (to - from)));
    assertThat(sum).hasValue(100);
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void isAskedOfItsOwnThreadAloneAndForThatTimeAlone() {
    Threads.use(3);
    Thread caller = Thread.currentThread();
    AtomicInteger asked = new AtomicInteger();
    Threads.cancellable(
        () -> {
          assertThat(Thread.currentThread()).isSameAs(caller);
          asked.incrementAndGet();
          Threads.forRanges(10, 1, (from, to) -> {}); // asks nothing
          return false;
        },
        () -> Threads.forRanges(1000, 1, (from, to) -> {}));
    int then = asked.get();
    assertThat(then).isPositive();
    Threads.forRanges(1000, 1, (from, to) -> {});
    assertThat(asked).hasValue(then);
  }

  @Test
  void whatTheQuestionThrowsEndsTheWork() {
    for (int threads : new int[] {1, 3}) {
      Threads.use(threads);
      UnsupportedOperationException thrown = new UnsupportedOperationException("no answer");
      assertThatThrownBy(
              () ->
                  Threads.cancellable(
                      () -> {
                        throw thrown;
                      },
                      () -> Threads.forRanges(100, 1, (from, to) -> {})))
          .isSameAs(thrown);
    }
  }

  @Test
  void theOuterQuestionCountsWithinAnother() {
    assertThatThrownBy(
            () ->
                Threads.cancellable(
                    () -> true,
                    () ->
                        Threads.cancellable(
                            NEVER, () -> Threads.forRanges(9, 1, (from, to) -> {}))))
        .isInstanceOf(CancellationException.class);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void endsARecordingWhichThenRunsAgain(int threads) {
    Threads.use(threads);
    int parts = 6;
    AtomicIntegerArray done = new AtomicIntegerArray(parts);
    AtomicInteger freed = new AtomicInteger();
    Recording recording =
        Recording.of(
            () -> {
              Recording.afterFailure(freed::incrementAndGet);
              for (int part = 0; part < parts; part++) {
                int mine = part;
                Recording.forRanges(100, 1, (from, to) -> done.addAndGet(mine, (int) (to - from)));
                Recording.between(() -> {});
              }
            });
    for (int question = 1; question <= parts; question++) {
      for (int part = 0; part < parts; part++) {
        done.set(part, 0);
      }
      BooleanSupplier cancelled = at(new AtomicInteger(), question);
      assertThatThrownBy(() -> Threads.cancellable(cancelled, recording::run))
          .isInstanceOf(CancellationException.class);
      assertThat(freed).hasValue(question);
      assertThat(done.get(parts - 1)).isLessThan(100);
    }
    for (int part = 0; part < parts; part++) {
      done.set(part, 0);
    }
    Threads.cancellable(NEVER, recording::run);
    for (int part = 0; part < parts; part++) {
      assertThat(done.get(part)).isEqualTo(100);
    }
  }
}
