package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * How to generate. Made by {@link #builder()}; {@link #GREEDY} is the deterministic default.
 *
 * @param maxNewTokens the most tokens to generate
 * @param temperature divides the logits; 0 takes the likeliest token and ignores what follows
 * @param topK keep the K likeliest tokens; 0 keeps all
 * @param topP keep the likeliest tokens whose probabilities first reach this sum; 1 keeps all
 * @param minP keep tokens at least this likely relative to the likeliest; 0 keeps all
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens already seen;
 *     1 changes nothing
 * @param seed of the random numbers; the same seed gives the same tokens
 * @param stopStrings end the text before the first of these
 * @param stopTokens end at any of these; they are not part of the text
 * @param stopAtEos whether the end-of-sentence token of tokenizer or config is a stop token as well
 * @param thinkingBudget tokens a {@code <think>} block may have before it is closed; empty: no
 *     limit
 * @param promptLookup tokens to guess at once, 0 (the default) to {@value #MAX_PROMPT_LOOKUP}: what
 *     followed the last few tokens where they stood before is read with the next token, and kept as
 *     far as it is what would have been chosen anyway. Changes the speed, not the tokens
 */
public record GenerationOptions(
    int maxNewTokens,
    double temperature,
    int topK,
    double topP,
    double minP,
    double repetitionPenalty,
    long seed,
    List<String> stopStrings,
    Set<Integer> stopTokens,
    boolean stopAtEos,
    OptionalInt thinkingBudget,
    int promptLookup) {
  /** The most tokens that can be guessed at once. */
  public static final int MAX_PROMPT_LOOKUP = 15;

  /** 128 tokens, always the likeliest. */
  public static final GenerationOptions GREEDY = builder().build();

  /** Checks ranges. */
  public GenerationOptions {
    stopStrings = List.copyOf(stopStrings);
    stopTokens = Set.copyOf(stopTokens);
    checkArgument(maxNewTokens >= 1, "maxNewTokens: expected >= 1, got %s", maxNewTokens);
    checkArgument(
        temperature >= 0 && temperature < Double.POSITIVE_INFINITY,
        "temperature: expected >= 0, got %s",
        temperature);
    checkArgument(topK >= 0, "topK: expected >= 0, got %s", topK);
    checkArgument(topP > 0 && topP <= 1, "topP: expected 0 < topP <= 1, got %s", topP);
    checkArgument(minP >= 0 && minP <= 1, "minP: expected 0 <= minP <= 1, got %s", minP);
    checkArgument(
        repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY,
        "repetitionPenalty: expected > 0, got %s",
        repetitionPenalty);
    checkArgument(
        stopStrings.stream().noneMatch(String::isEmpty), "stopStrings: expected no empty string");
    checkArgument(
        thinkingBudget.isEmpty() || thinkingBudget.getAsInt() >= 0,
        "thinkingBudget: expected >= 0, got %s",
        thinkingBudget);
    checkArgument(
        promptLookup >= 0 && promptLookup <= MAX_PROMPT_LOOKUP,
        "promptLookup: expected 0 to %s, got %s",
        MAX_PROMPT_LOOKUP,
        promptLookup);
  }

  /** Starts from 128 tokens, temperature 0, nothing filtered, no stops but end of sentence. */
  public static Builder builder() {
    return new Builder();
  }

  /** Collects options; see the parameters of {@link GenerationOptions}. */
  public static final class Builder {
    private int maxNewTokens = 128;
    private double temperature;
    private int topK;
    private double topP = 1;
    private double minP;
    private double repetitionPenalty = 1;
    private long seed;
    private List<String> stopStrings = List.of();
    private Set<Integer> stopTokens = Set.of();
    private boolean stopAtEos = true;
    private OptionalInt thinkingBudget = OptionalInt.empty();
    private int promptLookup;

    private Builder() {}

    /** The most tokens to generate. */
    public Builder maxNewTokens(int tokens) {
      this.maxNewTokens = tokens;
      return this;
    }

    /** Divides the logits; 0 is greedy. */
    public Builder temperature(double value) {
      this.temperature = value;
      return this;
    }

    /** Keeps the K likeliest tokens. */
    public Builder topK(int k) {
      this.topK = k;
      return this;
    }

    /** Keeps the likeliest tokens that together reach this probability. */
    public Builder topP(double p) {
      this.topP = p;
      return this;
    }

    /** Keeps tokens at least this likely relative to the likeliest. */
    public Builder minP(double p) {
      this.minP = p;
      return this;
    }

    /** Makes tokens already seen less likely. */
    public Builder repetitionPenalty(double penalty) {
      this.repetitionPenalty = penalty;
      return this;
    }

    /** Seeds the random numbers. */
    public Builder seed(long value) {
      this.seed = value;
      return this;
    }

    /** Ends the text before the first of these. */
    public Builder stopStrings(String... strings) {
      this.stopStrings = List.of(strings);
      return this;
    }

    /** Ends at any of these tokens. */
    public Builder stopTokens(Set<Integer> tokens) {
      this.stopTokens = tokens;
      return this;
    }

    /** Whether the end-of-sentence token ends generation. */
    public Builder stopAtEos(boolean stop) {
      this.stopAtEos = stop;
      return this;
    }

    /** Closes a {@code <think>} block after this many tokens. */
    public Builder thinkingBudget(int tokens) {
      this.thinkingBudget = OptionalInt.of(tokens);
      return this;
    }

    /** Guesses up to this many tokens at once from the text so far. */
    public Builder promptLookup(int tokens) {
      this.promptLookup = tokens;
      return this;
    }

    /**
     * The options.
     *
     * @throws IllegalArgumentException if one is out of range
     */
    public GenerationOptions build() {
      return new GenerationOptions(
          maxNewTokens,
          temperature,
          topK,
          topP,
          minP,
          repetitionPenalty,
          seed,
          stopStrings,
          stopTokens,
          stopAtEos,
          thinkingBudget,
          promptLookup);
    }
  }
}
