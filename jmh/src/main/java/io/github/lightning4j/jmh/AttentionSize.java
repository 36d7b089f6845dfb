package io.github.lightning4j.jmh;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A size of attention as benchmarks spell it in one parameter, {@code HxDxT} or {@code HxD}: so
 * that a benchmark lists the sizes that fit into memory, not the product of three lists.
 *
 * @param heads H
 * @param headSize D, of keys and values alike
 * @param tokens T, 1 if not given
 */
public record AttentionSize(int heads, int headSize, int tokens) {
  private static final Pattern TEXT = Pattern.compile("(\\d+)x(\\d+)(?:x(\\d+))?");

  /**
   * Reads one.
   *
   * @throws IllegalArgumentException if the text is nothing like it
   */
  public static AttentionSize of(String text) {
    Matcher matcher = TEXT.matcher(text);
    checkArgument(matcher.matches(), "size: expected HxD or HxDxT, got %s", text);
    String tokens = matcher.group(3);
    return new AttentionSize(
        Integer.parseInt(matcher.group(1)),
        Integer.parseInt(matcher.group(2)),
        tokens == null ? 1 : Integer.parseInt(tokens));
  }
}
