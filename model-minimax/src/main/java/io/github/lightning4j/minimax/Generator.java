package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.base.Splitter;
import com.google.common.base.Throwables;
import com.google.common.primitives.Ints;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.RgbImage;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
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
 * <p>With a model that sees pictures, {@code <image>} in a text and its token among ids stand for
 * pictures: calls that take none refuse both. To a model of text {@code <image>} is text like any
 * other, and there is no such token.
 *
 * <p>Thread-safe; each call has a session of its own.
 */
public final class Generator {
  private final MiniMaxModel model;
  private final @Nullable Tokenizer tokenizer;
  private final @Nullable PrefixCache prefixes;

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
    this(model, tokenizer, null);
  }

  private Generator(
      MiniMaxModel model, @Nullable Tokenizer tokenizer, @Nullable PrefixCache prefixes) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.prefixes = prefixes;
  }

  /**
   * A generator whose own sessions begin with what the cache knows of their prompts, and leave what
   * they read for others.
   *
   * @param cache of this model; stays the caller's
   * @throws IllegalArgumentException if it is of another model
   */
  public Generator withPrefixCache(PrefixCache cache) {
    checkArgument(
        cache.model() == model,
        "cache: expected one of this generator's model, %s",
        model.folder());
    return new Generator(model, tokenizer, cache);
  }

  /**
   * Continues a text.
   *
   * @throws IllegalArgumentException if it has {@code <image>} and the model sees pictures
   */
  public GenerationResult generate(String prompt, GenerationOptions options) {
    return generate(encodeText(prompt), options, GenerationListener.NONE);
  }

  /**
   * Continues a text and hands over each piece as soon as it is certain.
   *
   * @throws IllegalArgumentException as {@link #generate(String, GenerationOptions)}
   */
  public GenerationResult stream(String prompt, GenerationOptions options, Consumer<String> text) {
    return generate(
        encodeText(prompt),
        options,
        new GenerationListener() {
          @Override
          public void onText(String piece) {
            text.accept(piece);
          }
        });
  }

  /**
   * Continues a text with pictures.
   *
   * @param prompt with {@code <image>} where each picture belongs
   * @param images the pictures in this order
   * @throws IllegalArgumentException as {@link MiniMaxModel#imagePrompt}
   */
  public GenerationResult generate(
      String prompt,
      List<RgbImage> images,
      GenerationOptions options,
      GenerationListener listener) {
    try (ImagePrompt ready = imagePrompt(prompt, images)) {
      return generate(ready, options, listener);
    }
  }

  /**
   * Continues a prompt with pictures; a prefix cache is passed by.
   *
   * @param prompt stays the caller's
   * @throws IllegalArgumentException if it is of another model, or as below
   * @throws IllegalStateException if it is closed
   */
  public GenerationResult generate(
      ImagePrompt prompt, GenerationOptions options, GenerationListener listener) {
    try (Sequence sequence = sequence(prompt, options, listener)) {
      return sequence.run(model.options().prefillChunk(), sequence::isCancelled);
    }
  }

  /**
   * A prompt of text and pictures, read by the tokenizer and the vision tower. Its parts between
   * placeholders are tokenized each for itself.
   *
   * @param prompt with {@code <image>} where each picture belongs
   * @param images the pictures in this order
   * @return to be closed by the caller
   * @throws IllegalArgumentException as {@link MiniMaxModel#imagePrompt}
   * @throws IllegalStateException without a tokenizer
   */
  public ImagePrompt imagePrompt(String prompt, List<RgbImage> images) {
    VisionConfig vision = model.vision().orElse(null);
    if (vision == null) {
      return model.imagePrompt(encode(prompt), images);
    }
    List<int[]> parts = new ArrayList<>();
    for (String text : Splitter.on(ImagePrompt.PLACEHOLDER).split(prompt)) {
      if (!parts.isEmpty()) {
        parts.add(new int[] {vision.imageToken()});
      }
      parts.add(encode(text));
    }
    return model.imagePrompt(Ints.concat(parts.toArray(int[][]::new)), images);
  }

  /**
   * Continues tokens.
   *
   * @throws IllegalArgumentException if the prompt is empty, has a token outside the vocabulary or
   *     one that stands for a picture, or does not fit the context; or if text is asked for without
   *     a tokenizer
   */
  public GenerationResult generate(
      int[] prompt, GenerationOptions options, GenerationListener listener) {
    try (Sequence sequence = sequence(prompt, options, listener)) {
      return sequence.run(model.options().prefillChunk(), sequence::isCancelled);
    }
  }

  /**
   * Continues tokens in a session that may have a past; it has then seen the prompt and every
   * generated token but the last, whether generation ended, was cancelled, or failed in the
   * listener. For that a cancelled call ends between two steps, not within one: a chunk of the
   * prompt ({@link LoadOptions#prefillChunk}) or a token. With {@link
   * GenerationOptions#promptLookup} the listener cannot use the session.
   */
  public GenerationResult generate(
      Session session, int[] prompt, GenerationOptions options, GenerationListener listener) {
    checkText(options);
    session.checkTokens(prompt);
    PicturePlaces.none(model, prompt);
    Sequence sequence =
        new Sequence(
            model.config(),
            tokenizer,
            prompt,
            options,
            listener,
            ids -> new SequenceStart(session, 0, null));
    try {
      // A state written half could not be taken back.
      return sequence.run(model.options().prefillChunk(), () -> false);
    } finally {
      sequence.closeDrafts();
      session.use().leavePrompt();
    }
  }

  /**
   * Continues several prompts at once: each step reads the weights once for all that still run.
   * Every result equals that of the prompt alone, up to rounding.
   *
   * @return one result a prompt
   */
  public List<GenerationResult> generateBatch(List<int[]> prompts, GenerationOptions options) {
    List<CompletableFuture<GenerationResult>> outcomes = new ArrayList<>();
    int size = Math.max(1, prompts.size());
    try (Batch batch =
        batch(new BatchLimits(size, Math.max(size, model.options().prefillChunk())))) {
      for (int[] prompt : prompts) {
        CompletableFuture<GenerationResult> outcome = new CompletableFuture<>();
        batch.add(new Batch.Member(sequence(prompt, options, GenerationListener.NONE), outcome));
        outcomes.add(outcome);
      }
      while (!batch.isEmpty()) {
        batch.step();
      }
    }
    try {
      return outcomes.stream().map(CompletableFuture::join).toList();
    } catch (CompletionException e) {
      Throwables.throwIfUnchecked(e.getCause());
      throw e;
    }
  }

  /**
   * A queue that generates many answers at once, which join and leave between steps; the caller
   * closes it.
   *
   * @throws IllegalStateException if ranks share the model out, as what shares a step depends on
   *     time
   */
  public GenerationQueue queue(BatchLimits limits) {
    checkState(
        model.options().ranks().isEmpty(),
        "which answers share a step of a queue depends on time, and ranks would not agree on it: call"
            + " generate, or step sessions together");
    return new GenerationQueue(this, limits);
  }

  /** An empty batch for sequences of this generator. */
  Batch batch(BatchLimits limits) {
    return new Batch(limits, model.options().cacheFormat().classes().isPresent());
  }

  /** A sequence with a session of its own, which knows prefixes read before. */
  Sequence sequence(int[] prompt, GenerationOptions options, GenerationListener listener) {
    checkText(options);
    TokenIds.check(model.config(), 0, prompt);
    PicturePlaces.none(model, prompt);
    return new Sequence(model.config(), tokenizer, prompt, options, listener, this::begin);
  }

  /** A sequence with a session of its own that sees the pictures of a prompt. */
  Sequence sequence(ImagePrompt prompt, GenerationOptions options, GenerationListener listener) {
    checkText(options);
    int[] ids = prompt.readBy(model).ids();
    TokenIds.check(model.config(), 0, ids);
    return new Sequence(model.config(), tokenizer, ids, options, listener, all -> begin(prompt));
  }

  private SequenceStart begin(ImagePrompt prompt) {
    Session session = model.newSession();
    session.use().insert(prompt);
    return new SequenceStart(session, 0, null);
  }

  private SequenceStart begin(int[] ids) {
    return prefixes == null ? new SequenceStart(model.newSession(), 0, null) : prefixes.begin(ids);
  }

  /** The tokens of a prompt that comes without pictures. */
  int[] encodeText(String prompt) {
    PicturePlaces.none(model, prompt);
    return encode(prompt);
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
