package io.github.lightning4j.examples.command;

import picocli.CommandLine.Option;

/** Which layer of experts, and what it is given. */
final class MoeLayerOptions {
  @Option(
      names = "--hidden",
      paramLabel = "N",
      defaultValue = "1024",
      description = "Width of a token (${DEFAULT-VALUE}).")
  private int hidden;

  @Option(
      names = "--experts",
      paramLabel = "N",
      defaultValue = "8",
      description = "Experts (${DEFAULT-VALUE}).")
  private int experts;

  @Option(
      names = "--top-k",
      paramLabel = "N",
      defaultValue = "2",
      description = "Experts of a token (${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--intermediate",
      paramLabel = "N",
      defaultValue = "1792",
      description = "Width between the two layers of an expert (${DEFAULT-VALUE}).")
  private int intermediate;

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "512",
      description = "Tokens of all ranks together (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "bf16",
      description =
          "Weights: f32, bf16, f16, int8, int8/64, int4/64 or other groups (${DEFAULT-VALUE}).")
  private String format = "";

  @Option(
      names = "--load",
      paramLabel = "NAME",
      defaultValue = "even",
      description = "How tokens choose: even, skewed, or one that all choose (${DEFAULT-VALUE}).")
  private String load = "";

  MoeShape shape() {
    return new MoeShape(hidden, experts, topK, intermediate, tokens, format, load);
  }
}
