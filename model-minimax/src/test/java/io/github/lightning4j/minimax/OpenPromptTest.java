package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sessions between the chunks of a prompt, when caches do not know its sinks yet. */
final class OpenPromptTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(20).stopAtEos(false).build();

  @TempDir private static Path temp;
  private static CalibratedNano nano;

  @BeforeAll
  static void calibrate() throws IOException {
    nano = CalibratedNano.in(temp);
  }

  @Test
  void withinAPromptASessionIsNotCopied() {
    int[] prompt = nano.passage(0, 600);
    List<Throwable> refused = new ArrayList<>();
    try (MiniMaxModel model = nano.load("kv2");
        Session session = model.newSession();
        Session other = model.newSession()) {
      GenerationListener copying =
          new GenerationListener() {
            @Override
            public void onPrefill(long done, long total) {
              if (done < total) {
                refused.add(catchThrowable(session::fork));
                refused.add(catchThrowable(() -> session.snapshot(temp.resolve("x"))));
              }
            }
          };
      Generator generator = new Generator(model);
      List<Integer> ids = generator.generate(session, prompt, OPTIONS, copying).ids();
      assertThat(refused)
          .hasSize(2)
          .allSatisfy(
              fault ->
                  assertThat(fault)
                      .isInstanceOf(IllegalStateException.class)
                      .hasMessageContaining("a prompt is being read"));
      assertThat(ids)
          .isEqualTo(generator.generate(other, prompt, OPTIONS, GenerationListener.NONE).ids());
      session.fork().close();
    }
  }

  @Test
  void aPromptLeftHalfwayEndsThere() {
    int[] prompt = nano.passage(0, 700);
    List<Long> read = new ArrayList<>();
    int[] half = Arrays.copyOf(prompt, 512);
    try (MiniMaxModel model = nano.load("kv2");
        Session cancelled = model.newSession();
        Session left = model.newSession();
        Session expected = model.newSession()) {
      new Generator(model).generate(cancelled, prompt, OPTIONS, Listeners.cancelling(read, 1));
      assertThatThrownBy(
              () ->
                  left.prefill(
                      prompt,
                      (done, total) -> {
                        throw new UnsupportedOperationException("enough");
                      }))
          .isInstanceOf(UnsupportedOperationException.class);
      expected.prefill(half);
      try (Session fork = cancelled.fork()) {
        assertThat(fork.position()).isEqualTo(512);
      }
      float[] next = expected.decode(3);
      assertThat(cancelled.decode(3)).isEqualTo(next);
      assertThat(left.decode(3)).isEqualTo(next);
    }
  }
}
