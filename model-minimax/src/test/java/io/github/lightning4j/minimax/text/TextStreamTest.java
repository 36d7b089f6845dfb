package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Streaming equals decoding at once. */
final class TextStreamTest {
  private static Tokenizer nano;

  @BeforeAll
  static void open() {
    nano = Tokenizer.load(SharedFiles.nano());
  }

  @AfterAll
  static void close() {
    nano.close();
  }

  private static String stream(TextStream stream, int[] ids) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(stream.accept(id));
    }
    return text.append(stream.finish()).toString();
  }

  /** One token for each byte. */
  private static int[] byteTokens() {
    int[] tokens = new int[256];
    for (int id = 0; id < nano.vocabularySize(); id++) {
      byte[] bytes = nano.bytes(id);
      if (bytes.length == 1) {
        tokens[bytes[0] & 0xFF] = id;
      }
    }
    return tokens;
  }

  @Test
  void randomIdsStreamAsTheyDecode() {
    Random random = new Random(4);
    TextStream all = TextStream.of(nano);
    TextStream plain = TextStream.withoutSpecial(nano);
    for (int round = 0; round < 1000; round++) {
      int[] ids = random.ints(random.nextInt(40), 0, nano.vocabularySize()).toArray();
      assertThat(stream(all, ids)).isEqualTo(nano.decode(ids));
      assertThat(stream(plain, ids)).isEqualTo(nano.decode(ids, true));
    }
  }

  @Test
  void anyBytesStreamAsTheyDecode() {
    Random random = new Random(5);
    int[] tokens = byteTokens();
    int[] awkward = {0x41, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xA0, 0xED, 0xF0, 0x9F, 0x99, 0xF4, 0xFF};
    TextStream stream = TextStream.of(nano);
    for (int round = 0; round < 5000; round++) {
      int[] ids =
          IntStream.range(0, random.nextInt(12))
              .map(i -> tokens[awkward[random.nextInt(awkward.length)]])
              .toArray();
      assertThat(stream(stream, ids)).isEqualTo(nano.decode(ids));
    }
  }

  @Test
  void everySplitOfATextGivesTheWhole() {
    String text = "né 🙂👩‍👩‍👧 中文 \u0301x";
    int[] tokens = byteTokens();
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    int[] ids = new int[bytes.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = tokens[bytes[i] & 0xFF];
    }
    TextStream stream = TextStream.of(nano);
    for (int cut = 0; cut <= ids.length; cut++) {
      StringBuilder shown = new StringBuilder();
      for (int i = 0; i < cut; i++) {
        shown.append(stream.accept(ids[i]));
      }
      assertThat(text).startsWith(shown.toString());
      assertThat(shown.append(stream.finish()).toString())
          .isEqualTo(nano.decode(Arrays.copyOf(ids, cut)));
    }
  }

  @Test
  void charactersComeWhole() {
    int[] tokens = byteTokens();
    TextStream stream = TextStream.of(nano);
    List<String> pieces = new ArrayList<>();
    for (int value : new int[] {0xF0, 0x9F, 0x99, 0x82, 0x41, 0xC3}) {
      pieces.add(stream.accept(tokens[value]));
    }
    assertThat(pieces).containsExactly("", "", "", "🙂", "A", "");
    assertThat(stream.finish()).isEqualTo("\ufffd");
    assertThat(stream.finish()).isEmpty();
  }

  @Test
  void spelledSurrogatesAreOneReplacementAByte() {
    int[] tokens = byteTokens();
    int[] ids = {tokens[0xED], tokens[0xA0], tokens[0x80], tokens[0x41]};
    assertThat(nano.decode(ids)).isEqualTo("\ufffd\ufffd\ufffdA");
    assertThat(stream(TextStream.of(nano), ids)).isEqualTo("\ufffd\ufffd\ufffdA");
  }

  @Test
  void skippedTokensDoNotBreakACharacter() {
    int[] tokens = byteTokens();
    int[] ids = {tokens[0xC3], 3, tokens[0xA9]};
    assertThat(stream(TextStream.withoutSpecial(nano), ids)).isEqualTo("é");
    assertThat(stream(TextStream.of(nano), ids)).isEqualTo("\ufffd<end_of_sentence>\ufffd");
  }

  @Test
  void idsOutsideAreRefused() {
    TextStream stream = TextStream.withoutSpecial(nano);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> stream.accept(2048))
        .withMessageContainingAll("2047", "got 2048");
  }
}
