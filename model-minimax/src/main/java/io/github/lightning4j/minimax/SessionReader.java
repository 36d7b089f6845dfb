package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** How one session alone reads tokens: a prompt by chunks, or all at once with every logit. */
final class SessionReader {
  private SessionReader() {}

  /** As {@link Session#prefill(int[], ProgressListener)}, with the pictures of {@code images}. */
  static float[] prefill(
      Session session, int[] ids, @Nullable ImagePrompt images, ProgressListener progress) {
    session.checkTokens(ids);
    int chunk = session.model().options().prefillChunk();
    SessionUse use = session.use();
    SequenceState state = session.state();
    use.enter();
    boolean whole = true;
    try {
      use.insert(images);
      for (int from = 0; from < ids.length; from += chunk) {
        int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + chunk));
        boolean ends = from + part.length == ids.length;
        use.reserve(part.length, false, ends);
        whole = false;
        use.beginPrompt(ids.length, false);
        state.promptEnds(ends);
        session.step(TokenBatch.of(state, part), List.of(session.logits()));
        if (ends) {
          state.endPrompt();
        }
        whole = true;
        progress.progress(from + (long) part.length, ids.length);
      }
    } finally {
      use.insert(null);
      if (whole) {
        use.endOpenPrompt();
      }
      use.leave(whole);
    }
    return session.logits();
  }

  /**
   * As {@link Session#forward(int[], ForwardObserver, Tensor)}, with the pictures of {@code
   * images}.
   */
  static void forward(
      Session session,
      int[] ids,
      @Nullable ImagePrompt images,
      ForwardObserver observer,
      Tensor outLogits) {
    session.checkTokens(ids);
    MiniMaxModel model = session.model();
    model.checkObserver(observer);
    Checks.matrix("outLogits", outLogits, DType.F32);
    Checks.shape("outLogits", outLogits, ids.length, model.config().vocabSize());
    Checks.writable("outLogits", outLogits);
    float[] logits = session.logits();
    atOnce(
        session,
        ids,
        images,
        batch -> {
          model.run(engine -> engine.allLogits(batch, observer, outLogits));
          Tensor last = outLogits.select(0, ids.length - 1L);
          System.arraycopy(last.toFloats(), 0, logits, 0, logits.length);
        });
  }

  /** As {@link Session#observe(int[], ForwardObserver)}, with the pictures of {@code images}. */
  static float[] observe(
      Session session, int[] ids, @Nullable ImagePrompt images, ForwardObserver observer) {
    session.checkTokens(ids);
    MiniMaxModel model = session.model();
    model.checkObserver(observer);
    List<float[]> logits = List.of(session.logits());
    atOnce(
        session,
        ids,
        images,
        batch -> model.run(engine -> engine.lastLogits(batch, observer, logits)));
    return session.logits();
  }

  /** Reads all tokens as steps of decoding would. */
  private static void atOnce(
      Session session, int[] ids, @Nullable ImagePrompt images, Consumer<TokenBatch> pass) {
    SessionUse use = session.use();
    SequenceState state = session.state();
    use.exclusively(
        ids.length,
        () -> {
          use.beginPrompt(ids.length, true);
          use.insert(images);
          pass.accept(TokenBatch.of(state, ids));
          use.insert(null);
          state.endPrompt();
        });
  }
}
