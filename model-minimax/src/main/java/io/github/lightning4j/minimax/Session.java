package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * All that changes with one sequence: lightning states, key-value caches, position, and the logits
 * after the last token.
 *
 * <p>One thread at a time: a call made while another is under way throws {@link
 * IllegalStateException} and changes nothing. If a call fails inside the layers, or is ended there
 * ({@link Threads#cancellable}), the session is marked broken and can only be closed; a {@link
 * #fork} made before is as good as ever.
 */
public final class Session implements AutoCloseable {
  private final MiniMaxModel model;
  private final SequenceState state;
  private final float[] logits;
  private final SessionUse use;

  Session(MiniMaxModel model, SequenceState state) {
    this(model, state, new float[model.config().vocabSize()]);
  }

  Session(MiniMaxModel model, SequenceState state, float[] logits) {
    this.model = model;
    this.state = state;
    this.logits = logits;
    this.use = new SessionUse(state, model.pages());
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
    return state.memory().bytes();
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
   * @throws PageBudgetException if the budget of caches has no room for the next chunk; those
   *     before it are read then, as {@link #position} says, and the session may be used on
   */
  public float[] prefill(int... ids) {
    return prefill(ids, ProgressListener.NONE);
  }

  /**
   * As {@link #prefill(int...)}, telling how many tokens are done after every chunk. An exception
   * thrown by {@code progress} ends the call there: the session has read the chunks told of, as
   * {@link #position} says, and may be used on; what comes next is another prompt.
   */
  public float[] prefill(int[] ids, ProgressListener progress) {
    return SessionReader.prefill(this, ids, null, progress);
  }

  /** As {@link #prefill(int[], ProgressListener)}, for an open prompt of this model. */
  public float[] prefill(ImagePrompt prompt, ProgressListener progress) {
    return SessionReader.prefill(this, prompt.readBy(model).ids(), prompt, progress);
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
    SessionReader.forward(this, ids, null, observer, outLogits);
  }

  /** As {@link #forward(int[], ForwardObserver, Tensor)}, for an open prompt of this model. */
  public void forward(ImagePrompt prompt, ForwardObserver observer, Tensor outLogits) {
    SessionReader.forward(this, prompt.readBy(model).ids(), prompt, observer, outLogits);
  }

  /**
   * As {@link #forward(int[], ForwardObserver, Tensor)} with the logits after the last token alone:
   * what is looked at costs no {@code [T, V]}. The observer sees the final norm of that token only.
   *
   * @return {@link #logits()}
   */
  public float[] observe(int[] ids, ForwardObserver observer) {
    return SessionReader.observe(this, ids, null, observer);
  }

  /** As {@link #observe(int[], ForwardObserver)}, for an open prompt of this model. */
  public float[] observe(ImagePrompt prompt, ForwardObserver observer) {
    return SessionReader.observe(this, prompt.readBy(model).ids(), prompt, observer);
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
      turns.add(
          new SessionGroup.Turn(
              sessions.get(i), ids.get(i), SessionGroup.Reading.PROMPT_END, null));
    }
    SessionGroup.run(turns);
  }

  /**
   * An independent copy, which shares full pages of the caches.
   *
   * @throws IllegalStateException within a prompt that is read in steps
   */
  public Session fork() {
    Session[] copy = new Session[1];
    use.unchanged(() -> copy[0] = new Session(model, state.fork(), logits.clone()));
    return copy[0];
  }

  /**
   * Writes everything to a safetensors file, whole or not at all. {@link MiniMaxModel#restore}
   * reads it; caches that quantize only where they were, on the CPU or on a GPU.
   *
   * @throws IllegalStateException within a prompt that is read in steps, or if its caches know
   *     classes of tokens
   */
  public void snapshot(Path file) {
    use.unchanged(
        () -> {
          checkState(!state.inPrompt(), "a prompt is being read; write a snapshot behind its end");
          SessionSnapshot.write(this, state, file);
        });
  }

  /** How its caches hold keys and values. */
  public KvCacheFormat cacheFormat() {
    return state.memory().format();
  }

  /**
   * Bytes of the pages of all its key-value caches; those shared with a fork count for each.
   *
   * @throws IllegalStateException if closed
   */
  public long cacheBytes() {
    return state.memory().cacheBytes();
  }

  /**
   * Bits an element takes once its token has left the window of recent ones, metadata included,
   * measured on the packed pages of all layers; 0 before a token has.
   *
   * @throws IllegalStateException if closed
   */
  public double packedBitsPerElement() {
    return state.memory().packedBitsPerElement();
  }

  /**
   * Bits an element takes on average over all tokens, those in 16 or 32 bits and metadata included,
   * without slots of pages that wait for tokens; 0 before there is a token.
   *
   * @throws IllegalStateException if closed
   */
  public double storedBitsPerElement() {
    double elements = (double) state.memory().elements() * state.position();
    return elements == 0 ? 0 : 8 * state.memory().storedBytes() / elements;
  }

  /**
   * What its tokens take by class, an account for each softmax layer; empty where the {@linkplain
   * #cacheFormat format} knows no classes.
   *
   * @throws IllegalStateException if closed
   */
  public List<VlmAccount> accounts() {
    return state.memory().accounts();
  }

  void checkTokens(int[] ids) {
    TokenIds.check(model.config(), state.position(), ids);
  }

  /** Runs a batch; the logits of its wanted rows go where the caller says. */
  void step(TokenBatch batch, List<float[]> outLogits) {
    model.run(engine -> engine.lastLogits(batch, ForwardObserver.NONE, outLogits));
  }

  /**
   * Ends what {@link SessionGroup#run} began with drafted tokens: the session has then read the
   * first {@code accepted} of them, and is free again.
   */
  void commit(Drafts drafts, int accepted) {
    boolean whole = false;
    try {
      model.run(engine -> engine.commit(state, drafts, accepted));
      System.arraycopy(drafts.logits(accepted - 1), 0, logits, 0, logits.length);
      whole = true;
    } finally {
      use.leave(whole);
    }
  }

  SequenceState state() {
    return state;
  }

  SessionUse use() {
    return use;
  }

  /**
   * Frees states and caches.
   *
   * @throws IllegalStateException if closed already, or in use by another thread
   */
  @Override
  public void close() {
    use.close();
    state.close();
  }
}
