package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/**
 * All that changes with one sequence: lightning states, key-value caches, position, and the logits
 * after the last token.
 *
 * <p>One thread at a time: a call made while another is under way throws {@link
 * IllegalStateException} and changes nothing. If a call fails inside the layers, the session is
 * marked broken and can only be closed.
 */
public final class Session implements AutoCloseable {
  private enum Status {
    IDLE,
    BUSY,
    BROKEN,
    CLOSED
  }

  private final MiniMaxModel model;
  private final SequenceState state;
  private final float[] logits;
  private final AtomicReference<Status> status = new AtomicReference<>(Status.IDLE);

  Session(MiniMaxModel model, SequenceState state) {
    this(model, state, new float[model.config().vocabSize()]);
  }

  Session(MiniMaxModel model, SequenceState state, float[] logits) {
    this.model = model;
    this.state = state;
    this.logits = logits;
  }

  /** The model it belongs to. */
  public MiniMaxModel model() {
    return model;
  }

  /** Tokens seen so far. */
  public long position() {
    return state.position();
  }

  /** Bytes this session holds outside the heap. */
  public long bytes() {
    return state.bytes();
  }

  /**
   * The logits {@code [V]} after the last token; overwritten by the next call. All zero before the
   * first.
   */
  public float[] logits() {
    return logits;
  }

  /**
   * Reads a prompt, or more of one.
   *
   * @return {@link #logits()}
   * @throws IllegalArgumentException if there are no tokens, one is outside the vocabulary, or they
   *     do not fit the context; nothing has changed then
   */
  public float[] prefill(int... ids) {
    return prefill(ids, ProgressListener.NONE);
  }

  /** As {@link #prefill(int...)}, telling how many tokens are done after every chunk. */
  public float[] prefill(int[] ids, ProgressListener progress) {
    checkTokens(ids);
    int chunk = model.options().prefillChunk();
    return exclusively(
        () -> {
          beginPrompt(ids.length, false);
          for (int from = 0; from < ids.length; from += chunk) {
            int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + chunk));
            step(TokenBatch.of(state, part), List.of(this));
            progress.progress(from + (long) part.length, ids.length);
          }
          state.endPrompt();
        });
  }

  /**
   * Reads one token.
   *
   * @return {@link #logits()}
   */
  public float[] decode(int id) {
    return prefill(id);
  }

  /**
   * Reads tokens at once and gives the logits after each of them. Each token reads those before it
   * as a step of decoding would: what a quantized cache has let go of by then, as quantized.
   *
   * @param ids {@code T} tokens
   * @param observer sees the inside
   * @param outLogits {@code [T, V]} F32
   * @throws IllegalArgumentException as {@link #prefill(int...)}, or if {@code outLogits} does not
   *     fit; nothing has changed then
   */
  public void forward(int[] ids, ForwardObserver observer, Tensor outLogits) {
    checkTokens(ids);
    Checks.matrix("outLogits", outLogits, DType.F32);
    Checks.shape("outLogits", outLogits, ids.length, model.config().vocabSize());
    Checks.writable("outLogits", outLogits);
    exclusively(
        () -> {
          beginPrompt(ids.length, true);
          TokenBatch batch = TokenBatch.of(state, ids);
          model.run(run -> run.pass().allLogits(batch, run.workspace(), observer, outLogits));
          state.endPrompt();
          Tensor last = outLogits.select(0, ids.length - 1L);
          System.arraycopy(last.toFloats(), 0, logits, 0, logits.length);
        });
  }

  /**
   * One token for each of several sessions of one model, in one pass: the weights are read once for
   * all.
   *
   * @param sessions different sessions
   * @param ids one for each
   */
  public static void decode(List<Session> sessions, int[] ids) {
    SessionGroup.decode(sessions, ids);
  }

  /** An independent copy; full pages of the caches are shared. */
  public Session fork() {
    Session[] copy = new Session[1];
    unchanged(() -> copy[0] = new Session(model, state.fork(), logits.clone()));
    return copy[0];
  }

  /**
   * Writes everything to a safetensors file, whole or not at all. {@link MiniMaxModel#restore}
   * reads it.
   */
  public void snapshot(Path file) {
    unchanged(() -> SessionSnapshot.write(this, state, file));
  }

  /** A single token behind others is no prompt. */
  private void beginPrompt(int tokens, boolean asQuantized) {
    if (tokens > 1 || state.position() == 0) {
      state.beginPrompt(asQuantized);
    }
  }

  /** How its caches hold keys and values. */
  public KvCacheFormat cacheFormat() {
    return state.format();
  }

  /**
   * Bytes of the pages of all its key-value caches; those shared with a fork count for each.
   *
   * @throws IllegalStateException if closed
   */
  public long cacheBytes() {
    return state.cacheBytes();
  }

  /**
   * Bits an element takes once its token has left the window of recent ones, metadata included,
   * measured on the packed pages of all layers; 0 before a token has.
   *
   * @throws IllegalStateException if closed
   */
  public double packedBitsPerElement() {
    return state.packedBitsPerElement();
  }

  void checkTokens(int[] ids) {
    checkArgument(ids.length > 0, "ids: expected at least one token, got an empty prompt");
    int vocabulary = model.config().vocabSize();
    for (int i = 0; i < ids.length; i++) {
      checkArgument(
          ids[i] >= 0 && ids[i] < vocabulary,
          "ids[%s]: expected 0 <= id < %s (the vocabulary), got %s",
          i,
          vocabulary,
          ids[i]);
    }
    long context = model.config().maxPositions();
    checkArgument(
        state.position() + ids.length <= context,
        "ids: %s tokens after %s do not fit the context of %s",
        ids.length,
        state.position(),
        context);
  }

  /** Runs a batch and hands the last logits to each session. */
  static void step(TokenBatch batch, List<Session> sessions) {
    List<float[]> logits = sessions.stream().map(Session::logits).toList();
    sessions.get(0).model.run(run -> run.pass().lastLogits(batch, run.workspace(), logits));
  }

  SequenceState state() {
    return state;
  }

  /** Takes the session for this thread. */
  void enter() {
    Status before = status.compareAndExchange(Status.IDLE, Status.BUSY);
    checkState(before != Status.CLOSED, "session is closed");
    checkState(before != Status.BUSY, "session is in use by another thread");
    checkState(before != Status.BROKEN, "session is broken by an earlier failure; close it");
  }

  void leave(boolean whole) {
    status.set(whole ? Status.IDLE : Status.BROKEN);
  }

  /** For work that only reads the state: the session is as good as before if it fails. */
  private void unchanged(Runnable work) {
    enter();
    try {
      work.run();
    } finally {
      leave(true);
    }
  }

  private float[] exclusively(Runnable work) {
    enter();
    boolean whole = false;
    try {
      work.run();
      whole = true;
    } finally {
      leave(whole);
    }
    return logits;
  }

  /**
   * Frees states and caches.
   *
   * @throws IllegalStateException if closed already, or in use by another thread
   */
  @Override
  public void close() {
    Status before = status.getAndUpdate(now -> now == Status.BUSY ? now : Status.CLOSED);
    checkState(before != Status.BUSY, "session is in use by another thread");
    checkState(before != Status.CLOSED, "session is closed already");
    state.close();
  }
}
