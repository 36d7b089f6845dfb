package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.GenerationOptions;
import java.util.Optional;
import picocli.CommandLine.Option;

/** How the next token is chosen, and when to stop. */
final class SamplingOptions {
  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "Most tokens to generate (${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "Divides the logits; 0 always takes the likeliest token (${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "Choose among the K likeliest tokens; 0: all (${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description = "Choose among the likeliest that together have probability P (1).")
  private double topP;

  @Option(
      names = "--min-p",
      paramLabel = "P",
      defaultValue = "0",
      description = "Choose among those at least P times as likely as the likeliest (0).")
  private double minP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "Above 1: tokens already seen become less likely (${DEFAULT-VALUE}).")
  private double repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "Of the random numbers; the same seed, the same text (${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      arity = "1",
      description = "Stop before this text; may be given several times.")
  private String[] stops = {};

  @Option(
      names = "--thinking-budget",
      paramLabel = "N",
      description = "Close a <think> block after N tokens.")
  private Optional<Integer> thinkingBudget = Optional.empty();

  @Option(
      names = "--prompt-lookup",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Guess up to N tokens at once from the text so far; the same text, sooner where it repeats"
              + " itself (${DEFAULT-VALUE}).")
  private int promptLookup;

  /**
   * The options.
   *
   * @throws IllegalArgumentException if one is out of range
   */
  GenerationOptions build() {
    GenerationOptions.Builder builder =
        GenerationOptions.builder()
            .maxNewTokens(maxNewTokens)
            .temperature(temperature)
            .topK(topK)
            .topP(topP)
            .minP(minP)
            .repetitionPenalty(repetitionPenalty)
            .seed(seed)
            .promptLookup(promptLookup)
            .stopStrings(stops);
    thinkingBudget.ifPresent(builder::thinkingBudget);
    return builder.build();
  }
}
