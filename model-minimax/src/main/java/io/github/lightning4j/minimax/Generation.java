package io.github.lightning4j.minimax;

import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import io.github.lightning4j.minimax.text.StopStrings;
import io.github.lightning4j.minimax.text.TextStream;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One sequence being generated: which token comes next, what text is certain, whether it is over.
 */
final class Generation {
  private final GenerationOptions options;
  private final GenerationListener listener;
  private final Sampler sampler;
  private final Set<Integer> stopTokens;
  private final @Nullable TextStream stream;
  private final @Nullable StopStrings stops;
  private final @Nullable ThinkingBudget thinking;
  private final int vocabulary;
  private final Deque<Integer> forced = new ArrayDeque<>();
  private final StringBuilder text = new StringBuilder();
  private int[] ids = new int[64];
  private int count;
  private @Nullable FinishReason finished;

  Generation(
      MiniMaxConfig config,
      @Nullable Tokenizer tokenizer,
      int[] prompt,
      GenerationOptions options,
      GenerationListener listener) {
    this.options = options;
    this.listener = listener;
    this.sampler = new Sampler(options);
    this.stopTokens = stopTokens(config, tokenizer, options);
    this.stream = tokenizer == null ? null : TextStream.withoutSpecial(tokenizer);
    this.vocabulary = tokenizer == null ? 0 : tokenizer.vocabularySize();
    this.stops = options.stopStrings().isEmpty() ? null : StopStrings.of(options.stopStrings());
    this.thinking =
        tokenizer == null || options.thinkingBudget().isEmpty()
            ? null
            : new ThinkingBudget(tokenizer, options.thinkingBudget().getAsInt(), prompt);
    for (int id : prompt) {
      sampler.accept(id);
    }
  }

  private static Set<Integer> stopTokens(
      MiniMaxConfig config, @Nullable Tokenizer tokenizer, GenerationOptions options) {
    Set<Integer> stops = new HashSet<>(options.stopTokens());
    if (options.stopAtEos()) {
      stops.addAll(config.eosTokens());
      if (tokenizer != null) {
        tokenizer.eos().ifPresent(stops::add);
      }
    }
    return stops;
  }

  /**
   * Takes the next token from logits.
   *
   * @param room tokens the context still has room for
   * @return whether generation goes on, and {@link #last()} is to be decoded
   */
  boolean advance(float[] logits, long room) {
    if (thinking != null) {
      for (int closing : thinking.closing()) {
        forced.add(closing);
      }
    }
    int id = forced.isEmpty() ? sampler.sample(logits) : forced.poll();
    if (stopTokens.contains(id)) {
      return finish(FinishReason.STOP);
    }
    append(id);
    if (tell(id)) {
      return finish(FinishReason.STOP);
    }
    if (thinking != null) {
      thinking.accept(id);
    }
    return count < options.maxNewTokens() && room > 0 || finish(FinishReason.LENGTH);
  }

  /** Ends it before its time. */
  void cancel() {
    finish(FinishReason.CANCELLED);
  }

  /** The token taken last. */
  int last() {
    return ids[count - 1];
  }

  /** Tokens taken so far. */
  int count() {
    return count;
  }

  GenerationResult result(int promptTokens, long prefillNanos, long decodeNanos) {
    return GenerationResult.of(
        Arrays.copyOf(ids, count),
        text.toString(),
        promptTokens,
        finished == null ? FinishReason.LENGTH : finished,
        prefillNanos,
        decodeNanos);
  }

  private void append(int id) {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, 2 * count);
    }
    ids[count++] = id;
    sampler.accept(id);
    listener.onToken(id);
  }

  /** Passes on what text is certain; whether a stop string came. */
  private boolean tell(int id) {
    if (stream == null) {
      return false;
    }
    // A vocabulary may be padded beyond what the tokenizer knows: such a token has no text.
    String piece = id < vocabulary ? stream.accept(id) : "";
    emit(stops == null ? piece : stops.accept(piece));
    return stops != null && stops.stopped();
  }

  private boolean finish(FinishReason reason) {
    finished = reason;
    if (stream != null && (stops == null || !stops.stopped())) {
      String rest = stream.finish();
      if (stops == null) {
        emit(rest);
      } else {
        emit(stops.accept(rest));
        emit(stops.finish());
      }
    }
    return false;
  }

  private void emit(String piece) {
    if (!piece.isEmpty()) {
      text.append(piece);
      listener.onText(piece);
    }
  }
}
