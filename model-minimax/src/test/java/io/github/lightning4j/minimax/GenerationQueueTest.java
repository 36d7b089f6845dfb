package io.github.lightning4j.minimax;

import static com.google.common.util.concurrent.Uninterruptibles.awaitUninterruptibly;
import static io.github.lightning4j.minimax.Listeners.atToken;
import static io.github.lightning4j.minimax.Listeners.cancelling;
import static io.github.lightning4j.minimax.Listeners.into;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Many answers at once. What happens in which step is held by what listeners hear. */
final class GenerationQueueTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(12).stopAtEos(false).build();
  private static MiniMaxModel model;
  private static Generator generator;

  @BeforeAll
  static void load() {
    model = Nano.load();
    generator = new Generator(model);
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static int[] prompt(int seed, int length) {
    return IntStream.range(0, length).map(i -> (i + seed) * (37 + seed) % 2048).toArray();
  }

  private static List<Integer> alone(int[] prompt) {
    return generator.generate(prompt, OPTIONS, GenerationListener.NONE).ids();
  }

  @Test
  void answersAreThoseOfEachPromptAlone() throws Exception {
    List<int[]> prompts =
        List.of(prompt(1, 3), prompt(2, 700), prompt(3, 1), prompt(4, 90), prompt(5, 260));
    for (BatchLimits limits :
        List.of(BatchLimits.DEFAULT, new BatchLimits(3, 64), new BatchLimits(1, 1))) {
      try (GenerationQueue queue = generator.queue(limits)) {
        List<GenerationHandle> handles = new ArrayList<>();
        for (int[] prompt : prompts) {
          handles.add(queue.submit(prompt, OPTIONS, GenerationListener.NONE));
        }
        for (int i = 0; i < prompts.size(); i++) {
          GenerationResult result = handles.get(i).result();
          assertThat(result.ids()).as("%s %s", limits, i).isEqualTo(alone(prompts.get(i)));
          assertThat(result.promptTokens()).isEqualTo(prompts.get(i).length);
          assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
          assertThat(handles.get(i).isDone()).isTrue();
        }
      }
    }
  }

  @Test
  void aPromptJoinsWhileAnotherAnswerIsWritten() throws Exception {
    List<Integer> heard = new ArrayList<>();
    AtomicReference<GenerationHandle> second = new AtomicReference<>();
    try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
      GenerationListener first =
          new GenerationListener() {
            @Override
            public void onToken(int id) {
              heard.add(1);
              if (heard.size() == 4) {
                second.set(queue.submit(prompt(2, 5), OPTIONS, into(heard, 2)));
              }
            }
          };
      queue.submit(prompt(1, 5), OPTIONS, first).result();
      assertThat(second.get().result().ids()).isEqualTo(alone(prompt(2, 5)));
    }
    // The second reads its prompt in the step after it came, and from then on both get a token.
    assertThat(heard.subList(0, 8)).containsExactly(1, 1, 1, 1, 1, 2, 1, 2);
    assertThat(heard).hasSize(24);
  }

  @Test
  void promptsShareWhatAStepHasRoomFor() throws Exception {
    List<Integer> heard = new ArrayList<>();
    CountDownLatch begin = new CountDownLatch(1);
    try (GenerationQueue queue = generator.queue(new BatchLimits(3, 61))) {
      occupy(queue, begin);
      GenerationHandle last = null;
      for (int answer = 1; answer <= 3; answer++) {
        int which = answer;
        int[] prompt = prompt(answer, answer == 2 ? 15 : 60);
        GenerationListener listener =
            new GenerationListener() {
              @Override
              public void onPrefill(long done, long total) {
                heard.add(100 * which + (int) done);
              }
            };
        last = queue.submit(prompt, one(), listener);
      }
      begin.countDown();
      last.result();
    }
    // Of 61 tokens: 15 for the short one and 23 for each long one, then 31 and 30, then the rest.
    assertThat(heard).containsExactly(215, 123, 323, 154, 353, 160, 360);
  }

  /**
   * Holds the queue in the middle of a step until {@code end}: what is submitted meanwhile begins
   * together.
   */
  private static void occupy(GenerationQueue queue, CountDownLatch end) {
    CompletableFuture<Void> occupied = new CompletableFuture<>();
    Runnable hold =
        () -> {
          occupied.complete(null);
          awaitUninterruptibly(end);
        };
    GenerationHandle first = queue.submit(prompt(9, 1), one(), atToken(1, hold));
    CompletableFuture.anyOf(occupied, first.outcome()).join(); // throws what the answer failed of
  }

  private static GenerationOptions one() {
    return GenerationOptions.builder().maxNewTokens(1).stopAtEos(false).build();
  }

  @Test
  void noMoreRunThanThereIsRoomFor() throws Exception {
    List<Integer> heard = new ArrayList<>();
    CountDownLatch begin = new CountDownLatch(1);
    try (GenerationQueue queue = generator.queue(new BatchLimits(2, 64))) {
      occupy(queue, begin);
      List<GenerationHandle> handles = new ArrayList<>();
      for (int i = 1; i <= 3; i++) {
        handles.add(queue.submit(prompt(i, 4), OPTIONS, into(heard, i)));
      }
      begin.countDown();
      for (GenerationHandle handle : handles) {
        handle.result();
      }
    }
    assertThat(heard.indexOf(3))
        .isGreaterThan(Math.min(heard.lastIndexOf(1), heard.lastIndexOf(2)));
    assertThat(heard).hasSize(36);
  }

  @Test
  void whatIsCancelledEndsWithTheTokenBeingTold() throws Exception {
    AtomicReference<GenerationHandle> first = new AtomicReference<>();
    CountDownLatch submitted = new CountDownLatch(1);
    try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
      GenerationListener cancelling =
          atToken(
              5,
              () -> {
                awaitUninterruptibly(submitted);
                first.get().cancel();
              });
      first.set(queue.submit(prompt(1, 30), OPTIONS, cancelling));
      GenerationHandle other = queue.submit(prompt(2, 40), OPTIONS, GenerationListener.NONE);
      submitted.countDown();
      assertThat(first.get().result().finishReason()).isEqualTo(FinishReason.CANCELLED);
      assertThat(first.get().result().ids()).isEqualTo(alone(prompt(1, 30)).subList(0, 5));
      assertThat(other.result().ids()).isEqualTo(alone(prompt(2, 40)));
    }
  }

  @Test
  void aPromptCancelledWhileItIsReadGivesNothing() throws Exception {
    List<Long> read = new ArrayList<>();
    try (GenerationQueue queue = generator.queue(new BatchLimits(4, 128))) {
      GenerationResult result =
          queue.submit(prompt(1, 1000), OPTIONS, cancelling(read, 2)).result();
      assertThat(result.ids()).isEmpty();
      assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
      assertThat(read).containsExactly(128L, 256L);
    }
  }

  @Test
  void whatWaitsCanBeCancelledToo() throws Exception {
    List<Integer> heard = new ArrayList<>();
    AtomicReference<GenerationHandle> second = new AtomicReference<>();
    CountDownLatch submitted = new CountDownLatch(1);
    try (GenerationQueue queue = generator.queue(new BatchLimits(1, 64))) {
      GenerationListener cancelling =
          new GenerationListener() {
            @Override
            public void onToken(int id) {
              heard.add(1);
              awaitUninterruptibly(submitted);
              second.get().cancel();
            }
          };
      GenerationHandle first = queue.submit(prompt(1, 3), OPTIONS, cancelling);
      second.set(queue.submit(prompt(2, 3), OPTIONS, into(heard, 2)));
      submitted.countDown();
      assertThat(second.get().result().finishReason()).isEqualTo(FinishReason.CANCELLED);
      first.result();
    }
    assertThat(heard).hasSize(12).doesNotContain(2);
  }

  @Test
  void aFailingListenerEndsOnlyItsOwnAnswer() throws Exception {
    try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
      GenerationListener failing =
          atToken(
              3,
              () -> {
                throw new UnsupportedOperationException("enough");
              });
      GenerationHandle first = queue.submit(prompt(1, 20), OPTIONS, failing);
      GenerationHandle second = queue.submit(prompt(2, 20), OPTIONS, GenerationListener.NONE);
      assertThatThrownBy(first::result)
          .isInstanceOf(ExecutionException.class)
          .hasRootCauseInstanceOf(UnsupportedOperationException.class);
      assertThat(second.result().ids()).isEqualTo(alone(prompt(2, 20)));
    }
  }

  @Test
  void aClosedQueueHasEndedAllAnswers() throws Exception {
    AtomicReference<Throwable> closing = new AtomicReference<>();
    AtomicReference<GenerationQueue> itself = new AtomicReference<>();
    CountDownLatch heard = new CountDownLatch(1);
    GenerationQueue queue = generator.queue(new BatchLimits(1, 64));
    itself.set(queue);
    GenerationOptions endless =
        GenerationOptions.builder().maxNewTokens(8000).stopAtEos(false).build();
    GenerationHandle first =
        queue.submit(
            prompt(1, 3),
            endless,
            atToken(
                2,
                () -> {
                  closing.set(catchThrowable(itself.get()::close));
                  heard.countDown();
                }));
    GenerationHandle second = queue.submit(prompt(2, 3), endless, GenerationListener.NONE);
    awaitUninterruptibly(heard);
    queue.close();
    assertThat(closing.get())
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("a listener cannot close its generation queue");
    assertThat(first.isDone() && second.isDone()).isTrue();
    assertThat(first.result().ids().size()).isBetween(2, 7999);
    assertThat(second.result().finishReason()).isEqualTo(FinishReason.CANCELLED);
    assertThatThrownBy(() -> queue.submit(prompt(1, 1), OPTIONS, GenerationListener.NONE))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("generation queue is closed");
    assertThatThrownBy(queue::close).hasMessage("generation queue is closed already");
  }

  @Test
  void badPromptsAndLimitsAreRefusedAtOnce() {
    try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
      assertThatThrownBy(() -> queue.submit(new int[0], OPTIONS, GenerationListener.NONE))
          .hasMessageContaining("empty prompt");
      assertThatThrownBy(() -> queue.submit(new int[] {-1}, OPTIONS, GenerationListener.NONE))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("got -1");
      assertThatThrownBy(() -> queue.submit("text", OPTIONS, GenerationListener.NONE))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("tokenizer");
    }
    assertThatThrownBy(() -> new BatchLimits(0, 5)).hasMessage("sessions: expected >= 1, got 0");
    assertThatThrownBy(() -> new BatchLimits(4, 3))
        .hasMessage("tokensPerStep: expected >= 4, one for each session, got 3");
  }
}
