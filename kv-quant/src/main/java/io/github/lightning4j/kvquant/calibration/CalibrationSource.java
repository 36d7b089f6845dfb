package io.github.lightning4j.kvquant.calibration;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Locale;

/**
 * Where a calibration comes from.
 *
 * @param modelHash names the weights; a calibration serves no others
 * @param corpus names the text
 * @param split the part of it that was read, {@code "train"} as a rule
 * @param tokens how many tokens were read
 */
public record CalibrationSource(String modelHash, String corpus, String split, long tokens) {
  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if one is blank, no token was read, or the split is the test
   *     split: what is measured on that text later would not count
   */
  public CalibrationSource {
    checkArgument(!modelHash.isBlank(), "modelHash: expected one, got a blank");
    checkArgument(!corpus.isBlank(), "corpus: expected a name, got a blank");
    checkArgument(!split.isBlank(), "split: expected a name, got a blank");
    checkArgument(
        !split.toLowerCase(Locale.ROOT).startsWith("test"),
        "split: expected one that nothing is measured on, such as 'train', got '%s'",
        split);
    checkArgument(tokens >= 1, "tokens: expected >= 1, got %s", tokens);
  }
}
