package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Stop strings, wherever the pieces end. */
final class StopStringsTest {

  @Test
  void matchesAcrossPieces() {
    StopStrings stops = StopStrings.of(List.of("</end>"));
    assertThat(stops.accept("text <")).isEqualTo("text ");
    assertThat(stops.accept("/en")).isEmpty();
    assertThat(stops.stopped()).isFalse();
    assertThat(stops.accept("d>rest")).isEmpty();
    assertThat(stops.stopped()).isTrue();
    assertThat(stops.match()).hasValue("</end>");
    assertThat(stops.accept("more")).isEmpty();
    assertThat(stops.finish()).isEmpty();
  }

  @Test
  void givesBackWhatWasNoStop() {
    StopStrings stops = StopStrings.of(List.of("</end>"));
    assertThat(stops.accept("a</en")).isEqualTo("a");
    assertThat(stops.accept("x</")).isEqualTo("</enx");
    assertThat(stops.finish()).isEqualTo("</");
    assertThat(stops.match()).isEmpty();
  }

  @Test
  void holdsOverlappingBeginnings() {
    StopStrings stops = StopStrings.of(List.of("aab"));
    assertThat(stops.accept("a")).isEmpty();
    assertThat(stops.accept("a")).isEmpty();
    assertThat(stops.accept("a")).isEqualTo("a");
    assertThat(stops.accept("b")).isEmpty();
    assertThat(stops.match()).hasValue("aab");
  }

  @Test
  void firstToCompleteWinsThenTheLongest() {
    StopStrings first = StopStrings.of(List.of("bcd", "c"));
    assertThat(first.accept("abcd")).isEqualTo("ab");
    assertThat(first.match()).hasValue("c");
    StopStrings longest = StopStrings.of(List.of("c", "bc"));
    assertThat(longest.accept("abcd")).isEqualTo("a");
    assertThat(longest.match()).hasValue("bc");
  }

  @Test
  void noStopsPassEverything() {
    StopStrings stops = StopStrings.of(List.of());
    assertThat(stops.accept("abc")).isEqualTo("abc");
    assertThat(stops.finish()).isEmpty();
  }

  @Test
  void emptyStopIsRefused() {
    assertThatIllegalArgumentException().isThrownBy(() -> StopStrings.of(List.of("a", "")));
  }

  @Test
  void resultDoesNotDependOnThePieces() {
    Random random = new Random(6);
    for (int round = 0; round < 3000; round++) {
      String text = letters(random, random.nextInt(14));
      List<String> list =
          IntStream.range(0, 1 + random.nextInt(3))
              .mapToObj(i -> letters(random, 1 + random.nextInt(4)))
              .toList();
      StopStrings whole = StopStrings.of(list);
      String expected = whole.accept(text) + whole.finish();
      StopStrings cut = StopStrings.of(list);
      StringBuilder shown = new StringBuilder();
      for (int i = 0; i < text.length(); ) {
        int next = Math.min(text.length(), i + 1 + random.nextInt(3));
        shown.append(cut.accept(text.substring(i, next)));
        i = next;
      }
      shown.append(cut.finish());
      assertThat(shown.toString()).as(text + " " + list).isEqualTo(expected);
      assertThat(cut.match()).isEqualTo(whole.match());
      assertThat(whole.stopped()).isEqualTo(list.stream().anyMatch(text::contains));
    }
  }

  private static String letters(Random random, int length) {
    return random
        .ints(length, 'a', 'd')
        .collect(StringBuilder::new, (b, c) -> b.append((char) c), StringBuilder::append)
        .toString();
  }
}
