package io.github.lightning4j.minimax.text;

import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Ends a text at the first of some strings, however the text is cut into pieces.
 *
 * <p>Whatever may be the beginning of a stop string is held back until it is decided. The match
 * that is complete first wins; of several that end at the same character, the longest. So the
 * result depends on the text only, not on the pieces. Feed it from {@link TextStream}. Not for use
 * by several threads.
 */
public final class StopStrings {
  private final List<String> stops;
  private String held = "";
  private @Nullable String match;

  private StopStrings(List<String> stops) {
    this.stops = List.copyOf(stops);
  }

  /**
   * Watches for strings.
   *
   * @param stops the strings, none of them empty; the list may be
   * @return a new watch
   * @throws IllegalArgumentException if one is empty
   */
  public static StopStrings of(List<String> stops) {
    if (stops.contains("")) {
      throw new IllegalArgumentException(
          "stops: expected strings of 1 character or more, got \"\"");
    }
    return new StopStrings(stops);
  }

  /**
   * Takes the next piece of text.
   *
   * @param piece the piece
   * @return the text that is certainly before a stop string; nothing once one has matched
   */
  public String accept(String piece) {
    if (match != null) {
      return "";
    }
    String text = held + piece;
    int end = Integer.MAX_VALUE;
    for (String stop : stops) {
      int start = text.indexOf(stop);
      if (start >= 0 && earlier(start + stop.length(), stop, end)) {
        end = start + stop.length();
        match = stop;
      }
    }
    int shown = match == null ? text.length() - undecided(text) : end - match.length();
    held = match == null ? text.substring(shown) : "";
    return text.substring(0, shown);
  }

  /**
   * Ends the text.
   *
   * @return what was held back and did not become a stop string
   */
  public String finish() {
    String rest = held;
    held = "";
    return rest;
  }

  /**
   * Whether a stop string has been seen.
   *
   * @return true from the first match on
   */
  public boolean stopped() {
    return match != null;
  }

  /**
   * The stop string that was seen.
   *
   * @return the string, if one was
   */
  public Optional<String> match() {
    return Optional.ofNullable(match);
  }

  private boolean earlier(int end, String stop, int best) {
    return end < best || end == best && match != null && stop.length() > match.length();
  }

  /** The length of the longest end of a text that some stop string begins with. */
  private int undecided(String text) {
    int longest = 0;
    for (String stop : stops) {
      int length = Math.min(stop.length() - 1, text.length());
      while (length > longest && !text.endsWith(stop.substring(0, length))) {
        length--;
      }
      longest = Math.max(longest, length);
    }
    return longest;
  }
}
