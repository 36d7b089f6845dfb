package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.SessionGroup.Turn;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A prompt on its way to an answer: which tokens its session reads next, and what follows from the
 * logits. It {@linkplain #run runs} alone; or whoever drives it takes {@link #next}, runs it with
 * others, and calls {@link #accept}. Not thread-safe.
 */
final class Sequence implements AutoCloseable {
  private final MiniMaxConfig config;
  private final GenerationOptions options;
  private final GenerationListener listener;
  private final Generation generation;
  private final Function<int[], SequenceStart> source;
  private final int promptTokens;
  private final long start = System.nanoTime();
  private long prefilled;
  private int[] ids;
  private int count;
  private int read;
  private int told;
  private @Nullable SequenceStart begun;
  private @Nullable PrefixPath path;
  private @Nullable Drafts drafts;
  private @Nullable Turn turn;

  /**
   * A sequence before its first token.
   *
   * @param source opens a session for tokens, when the first is asked for
   */
  Sequence(
      MiniMaxConfig config,
      @Nullable Tokenizer tokenizer,
      int[] prompt,
      GenerationOptions options,
      GenerationListener listener,
      Function<int[], SequenceStart> source) {
    this.config = config;
    this.options = options;
    this.listener = listener;
    this.generation = new Generation(config, tokenizer, prompt, options, listener);
    this.source = source;
    this.promptTokens = prompt.length;
    this.ids = prompt.clone();
    this.count = prompt.length;
  }

  /** Tokens known and not yet read: those of the prompt, or the one generated last. */
  int pending() {
    return count - read;
  }

  /** Whether some of its prompt is still to be read. */
  boolean isInPrompt() {
    return read < promptTokens;
  }

  private Session session() {
    if (begun == null) {
      int[] known = Arrays.copyOf(ids, count);
      begun = path == null ? source.apply(known) : path.again(known);
      path = begun.path();
      read = begun.read();
    }
    return begun.session();
  }

  /** The next turn, of at most {@code most >= 1} tokens. */
  Turn next(int most) {
    Session session = session();
    int border = path == null ? Integer.MAX_VALUE : path.tokensToBorder(read);
    boolean inPrompt = isInPrompt();
    int limit = Math.min(most, border);
    int known = Math.min(inPrompt ? promptTokens - read : pending(), limit);
    int[] certain = Arrays.copyOfRange(ids, read, read + known);
    int[] guess = !inPrompt && pending() == 1 ? guess(session, limit - 1) : new int[0];
    if (guess.length == 0) {
      boolean ends = read + known == promptTokens || known == border;
      Reading part = ends ? Reading.PROMPT_END : Reading.PROMPT_PART;
      turn = new Turn(session, certain, inPrompt ? part : Reading.TEXT, null);
    } else {
      if (drafts == null) {
        drafts = session.model().newDrafts();
      }
      int[] all = Arrays.copyOf(certain, 1 + guess.length);
      System.arraycopy(guess, 0, all, 1, guess.length);
      turn = new Turn(session, all, Reading.TEXT, drafts);
    }
    return turn;
  }

  private int[] guess(Session session, int limit) {
    int wanted = options.maxNewTokens() - generation.count() - 1;
    int most = Math.min(Math.min(options.promptLookup(), limit), wanted);
    return PromptLookup.guess(ids, count, (int) Math.min(most, room(session) - 1));
  }

  /**
   * Takes what the turn gave, which was run.
   *
   * @return whether it goes on
   * @throws RuntimeException what the listener threw; the session is whole
   */
  boolean accept() {
    Turn done = turn;
    turn = null;
    Session session = done.session();
    if (done.drafts() != null) {
      return acceptGuess(session, done.ids(), done.drafts());
    }
    read += done.ids().length;
    keep(session);
    tellPrompt();
    return read < count || take(session.logits(), room(session));
  }

  private boolean acceptGuess(Session session, int[] tokens, Drafts logits) {
    int accepted = 1;
    boolean goesOn;
    try {
      long room = room(session);
      while (true) {
        goesOn = take(logits.logits(accepted - 1), room - accepted);
        boolean right = accepted < tokens.length && generation.last() == tokens[accepted];
        if (!goesOn || !right || isCancelled()) {
          break;
        }
        accepted++;
      }
    } finally {
      read += accepted;
      session.commit(logits, accepted);
    }
    keep(session);
    tellPrompt();
    listener.onGuess(tokens.length - 1, accepted - 1);
    return goesOn;
  }

  /** The token after those read. */
  private boolean take(float[] logits, long room) {
    if (prefilled == 0) {
      prefilled = System.nanoTime();
    }
    if (!generation.advance(logits, room)) {
      return false;
    }
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, count + Math.max(64, count / 2));
    }
    ids[count++] = generation.last();
    return true;
  }

  private void keep(Session session) {
    if (path != null) {
      path.reached(session, ids, read);
    }
  }

  private void tellPrompt() {
    int done = Math.min(read, promptTokens);
    if (done > told) {
      told = done;
      listener.onPrefill(done, promptTokens);
    }
  }

  /** Tokens the context still has room for. */
  private long room(Session session) {
    return config.maxPositions() - session.position();
  }

  /**
   * Runs it alone, to its end or to where it is cancelled.
   *
   * @param chunk the most tokens of a step
   * @param interrupted whether the step under way is to end too, and with it the session
   */
  GenerationResult run(int chunk, BooleanSupplier interrupted) {
    do {
      if (isCancelled() || !runNext(chunk, interrupted)) {
        cancel();
        break;
      }
    } while (accept());
    return result();
  }

  private boolean runNext(int chunk, BooleanSupplier interrupted) {
    List<Turn> alone = List.of(next(chunk));
    try {
      Threads.cancellable(interrupted, () -> SessionGroup.run(alone));
      return true;
    } catch (CancellationException e) {
      return false;
    }
  }

  /** Whether the listener wants no more. */
  boolean isCancelled() {
    return listener.isCancelled();
  }

  /** Ends it with what there is. */
  void cancel() {
    generation.cancel();
  }

  /**
   * Leaves the session, closed or not, and starts over with a new one, which reads again what the
   * old one had read; nothing is told or chosen twice.
   */
  void renew() {
    begun = null;
    read = 0;
  }

  /** What came of it. */
  GenerationResult result() {
    long now = System.nanoTime();
    long first = prefilled == 0 ? now : prefilled;
    return generation.result(promptTokens, first - start, now - first);
  }

  /** Closes the session and what belongs to it. */
  @Override
  public void close() {
    closeDrafts();
    if (begun != null) {
      begun.session().close();
      begun = null;
    }
  }

  /** Leaves the session open, which is somebody else's. */
  void closeDrafts() {
    if (drafts != null) {
      drafts.close();
      drafts = null;
    }
  }
}
