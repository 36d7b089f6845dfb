package io.github.lightning4j.minimax;

import static com.google.common.util.concurrent.Uninterruptibles.awaitUninterruptibly;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.kvquant.PageBudget;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Queues over caches by class read prompts one after another, so that one lies in 16 bits. */
final class PromptsInTurnTest {
  private static final int BATCH = 24;
  private static final long BF16_TOKEN = 2 * 256 * 2;

  private static MiniMaxModel load(String format, PageBudget budget) {
    return MiniMaxModel.load(
        Nano.FOLDER,
        LoadOptions.DEFAULT.withCacheFormat(KvCacheFormat.of(format)).withCacheBudget(budget));
  }

  private static int[] prompt(int seed, int length) {
    return IntStream.range(0, length).map(i -> (i + seed) * (37 + seed) % 2048).toArray();
  }

  private static GenerationOptions tokens(int count) {
    return GenerationOptions.builder().maxNewTokens(count).stopAtEos(false).build();
  }

  @Test
  void promptsAreReadInTheOrderTheyCameAndAnswersGoOn() throws Exception {
    List<Integer> heard = new ArrayList<>();
    CountDownLatch occupied = new CountDownLatch(1);
    CountDownLatch begin = new CountDownLatch(1);
    try (MiniMaxModel model = load("akvq-2", PageBudget.unlimited());
        GenerationQueue queue = new Generator(model).queue(new BatchLimits(4, 61))) {
      GenerationListener writing =
          new GenerationListener() {
            @Override
            public void onToken(int id) {
              occupied.countDown();
              awaitUninterruptibly(begin);
              heard.add(0);
            }
          };
      queue.submit(prompt(9, 1), tokens(6), writing);
      awaitUninterruptibly(occupied);
      GenerationHandle last = null;
      for (int answer = 1; answer <= 3; answer++) {
        int which = answer;
        GenerationListener listener =
            new GenerationListener() {
              @Override
              public void onPrefill(long done, long total) {
                heard.add(100 * which + (int) done);
              }
            };
        int length = answer == 2 ? 15 : 80;
        last = queue.submit(prompt(answer, length), tokens(1), listener);
      }
      begin.countDown();
      last.result();
    }
    // One answer goes on with every step; the 60 tokens left are those of one prompt at a time.
    assertThat(heard).startsWith(0, 0, 160, 0, 180, 0, 215, 0, 360, 0, 380);
  }

  /** The most bytes of pages between steps; all prompts have been read before an answer ends. */
  private static long peak(String format, PageBudget budget) throws Exception {
    AtomicLong peak = new AtomicLong();
    GenerationListener listener =
        new GenerationListener() {
          @Override
          public void onToken(int id) {
            peak.accumulateAndGet(budget.used(), Math::max);
          }
        };
    try (MiniMaxModel model = load(format, budget);
        GenerationQueue queue = new Generator(model).queue(new BatchLimits(BATCH, 512 + BATCH))) {
      List<GenerationHandle> handles = new ArrayList<>();
      for (int i = 0; i < BATCH; i++) {
        handles.add(queue.submit(prompt(i, 500), tokens(BATCH + 20), listener));
      }
      for (GenerationHandle handle : handles) {
        assertThat(handle.result().ids()).hasSize(BATCH + 20);
      }
    }
    assertThat(budget.used()).isZero();
    return peak.get();
  }

  /** What a step holds within its layers counts against the budget too. */
  @Test
  void aQueuePeaksAtLessThanHalfOfSixteenBits() throws Exception {
    long exact = peak("bf16", PageBudget.unlimited());
    assertThat(exact).isEqualTo(BATCH * 9L * 64 * BF16_TOKEN);
    assertThat(peak("akvq-2", PageBudget.ofBytes((long) (exact / 2.1)))).isPositive();
  }
}
