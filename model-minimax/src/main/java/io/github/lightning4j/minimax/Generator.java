package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Generates text or tokens with a model: prefill, then decode until a stop token, a stop string,
 * the number of tokens, or the end of the context.
 *
 * <pre>{@code
 * try (MiniMaxModel model = MiniMaxModel.load(folder);
 *     Tokenizer tokenizer = Tokenizer.load(folder)) {
 *   new Generator(model, tokenizer).stream("It is a truth", GenerationOptions.GREEDY, System.out::print);
 * }
 * }</pre>
 *
 * <p>Thread-safe; each call has a session of its own.
 */
public final class Generator {
  private final MiniMaxModel model;
  private final @Nullable Tokenizer tokenizer;

  /** A generator of tokens only; calls that take or give text fail. */
  public Generator(MiniMaxModel model) {
    this(model, null);
  }

  /**
   * A generator of text.
   *
   * @param tokenizer of the model's vocabulary; stays the caller's
   */
  public Generator(MiniMaxModel model, @Nullable Tokenizer tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
  }

  /** Continues a text. */
  public GenerationResult generate(String prompt, GenerationOptions options) {
    return generate(encode(prompt), options, GenerationListener.NONE);
  }

  /** Continues a text and hands over each piece as soon as it is certain. */
  public GenerationResult stream(String prompt, GenerationOptions options, Consumer<String> text) {
    return generate(
        encode(prompt),
        options,
        new GenerationListener() {
          @Override
          public void onText(String piece) {
            text.accept(piece);
          }
        });
  }

  /**
   * Continues tokens.
   *
   * @throws IllegalArgumentException if the prompt is empty, has a token outside the vocabulary, or
   *     does not fit the context; or if text is asked for without a tokenizer
   */
  public GenerationResult generate(
      int[] prompt, GenerationOptions options, GenerationListener listener) {
    try (Session session = model.newSession()) {
      return generate(session, prompt, options, listener);
    }
  }

  /**
   * Continues tokens in a session that may have a past; it has then seen the prompt and every
   * generated token but the last.
   */
  public GenerationResult generate(
      Session session, int[] prompt, GenerationOptions options, GenerationListener listener) {
    checkText(options);
    long start = System.nanoTime();
    session.prefill(prompt, listener::onPrefill);
    Generation generation = new Generation(model.config(), tokenizer, prompt, options, listener);
    long prefilled = System.nanoTime();
    while (generation.advance(session.logits(), room(session))) {
      session.decode(generation.last());
    }
    return generation.result(prompt.length, prefilled - start, System.nanoTime() - prefilled);
  }

  /**
   * Continues several prompts at once: each step reads the weights once for all that still run.
   * Every result equals that of the prompt alone, up to rounding.
   *
   * @return one result a prompt; their times are those of the whole batch
   */
  public List<GenerationResult> generateBatch(List<int[]> prompts, GenerationOptions options) {
    checkText(options);
    try (MemoryScope scope = new MemoryScope()) {
      long start = System.nanoTime();
      List<Session> sessions = new ArrayList<>();
      List<Generation> generations = new ArrayList<>();
      for (int[] prompt : prompts) {
        Session session = scope.add(model.newSession());
        session.prefill(prompt);
        sessions.add(session);
        generations.add(
            new Generation(model.config(), tokenizer, prompt, options, GenerationListener.NONE));
      }
      long prefilled = System.nanoTime();
      decodeTogether(sessions, generations);
      long decoded = System.nanoTime();
      List<GenerationResult> results = new ArrayList<>();
      for (int i = 0; i < prompts.size(); i++) {
        results.add(
            generations
                .get(i)
                .result(prompts.get(i).length, prefilled - start, decoded - prefilled));
      }
      return results;
    }
  }

  private void decodeTogether(List<Session> sessions, List<Generation> generations) {
    List<Session> running = new ArrayList<>(sessions);
    List<Generation> open = new ArrayList<>(generations);
    while (true) {
      for (int i = running.size() - 1; i >= 0; i--) {
        if (!open.get(i).advance(running.get(i).logits(), room(running.get(i)))) {
          running.remove(i);
          open.remove(i);
        }
      }
      if (running.isEmpty()) {
        return;
      }
      Session.decode(running, open.stream().mapToInt(Generation::last).toArray());
    }
  }

  private long room(Session session) {
    return model.config().maxPositions() - session.position();
  }

  private int[] encode(String prompt) {
    checkState(tokenizer != null, "text needs a tokenizer; this generator was made without one");
    return tokenizer.encode(prompt);
  }

  private void checkText(GenerationOptions options) {
    checkArgument(
        tokenizer != null
            || (options.stopStrings().isEmpty() && options.thinkingBudget().isEmpty()),
        "stopStrings and thinkingBudget need a tokenizer; this generator was made without one");
  }
}
