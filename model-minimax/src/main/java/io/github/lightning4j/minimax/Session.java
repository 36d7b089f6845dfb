package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.nio.file.Path;
import java.util.ArrayList;
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

  /**
   * As {@link #prefill(int...)}, telling how many tokens are done after every chunk. An exception
   * thrown by {@code progress} ends the call there: the session has read the chunks told of, as
   * {@link #position} says, and may be used on.
   */
  public float[] prefill(int[] ids, ProgressListener progress) {
    checkTokens(ids);
    int chunk = model.options().prefillChunk();
    enter();
    boolean whole = false;
    try {
      for (int from = 0; from < ids.length; from += chunk) {
        int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + chunk));
        whole = false;
        step(TokenBatch.of(state, part), List.of(logits));
        whole = true;
        progress.progress(from + (long) part.length, ids.length);
      }
    } finally {
      leave(whole);
    }
    return logits;
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
   * Reads tokens at once and gives the logits after each of them.
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
          TokenBatch batch = TokenBatch.of(state, ids);
          model.run(run -> run.pass().allLogits(batch, run.workspace(), observer, outLogits));
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
    prefill(sessions, Arrays.stream(ids).mapToObj(id -> new int[] {id}).toList());
  }

  /**
   * The next tokens of several sessions of one model in one pass, any number for each: chunks of
   * prompts and single tokens may stand side by side, and the weights are read once for all. With
   * at most 16 tokens in all, a session with one token gets the same bits as alone; otherwise
   * results are the same up to rounding.
   *
   * @param sessions different sessions
   * @param ids at least one token for each
   * @throws IllegalArgumentException as {@link #prefill(int...)}; no session has changed then
   */
  public static void prefill(List<Session> sessions, List<int[]> ids) {
    checkArgument(
        sessions.size() == ids.size() && !ids.isEmpty(),
        "ids: expected tokens for each of %s sessions, got %s",
        sessions.size(),
        ids.size());
    List<SessionGroup.Turn> turns = new ArrayList<>();
    for (int i = 0; i < ids.size(); i++) {
      turns.add(new SessionGroup.Turn(sessions.get(i), ids.get(i), null));
    }
    SessionGroup.run(turns);
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

  void checkTokens(int[] ids) {
    checkTokens(model.config(), state.position(), ids);
  }

  /** Whether tokens can be read behind {@code position} others. */
  static void checkTokens(MiniMaxConfig config, long position, int[] ids) {
    checkArgument(ids.length > 0, "ids: expected at least one token, got an empty prompt");
    int vocabulary = config.vocabSize();
    for (int i = 0; i < ids.length; i++) {
      checkArgument(
          ids[i] >= 0 && ids[i] < vocabulary,
          "ids[%s]: expected 0 <= id < %s (the vocabulary), got %s",
          i,
          vocabulary,
          ids[i]);
    }
    long context = config.maxPositions();
    checkArgument(
        position + ids.length <= context,
        "ids: %s tokens after %s do not fit the context of %s",
        ids.length,
        position,
        context);
  }

  /** Runs a batch; the logits of its wanted rows go where the caller says. */
  void step(TokenBatch batch, List<float[]> outLogits) {
    model.run(run -> run.pass().lastLogits(batch, run.workspace(), outLogits));
  }

  /**
   * Ends what {@link SessionGroup#run} began with drafted tokens: the session has then read the
   * first {@code accepted} of them, and is free again.
   */
  void commit(Drafts drafts, int accepted) {
    boolean whole = false;
    try {
      model.run(run -> run.pass().commit(state, drafts, accepted));
      System.arraycopy(drafts.logits(accepted - 1), 0, logits, 0, logits.length);
      whole = true;
    } finally {
      leave(whole);
    }
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

  private void exclusively(Runnable work) {
    enter();
    boolean whole = false;
    try {
      work.run();
      whole = true;
    } finally {
      leave(whole);
    }
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
