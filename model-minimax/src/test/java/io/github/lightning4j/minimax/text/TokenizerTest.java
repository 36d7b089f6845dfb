package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The tokenizer on the embedded model's vocabulary, on small made-up ones, and on bad files. */
final class TokenizerTest {
  private static Tokenizer nano;

  @TempDir Path folder;

  @BeforeAll
  static void open() {
    nano = Tokenizer.load(SharedFiles.nano());
  }

  @AfterAll
  static void close() {
    nano.close();
  }

  @Test
  void describesItself() {
    assertThat(nano.vocabularySize()).isEqualTo(2048);
    assertThat(nano.eos()).hasValue(3);
    assertThat(nano.bos()).hasValue(2);
    assertThat(nano.id("<begin_of_document>")).hasValue(0);
    assertThat(nano.id("no such token")).isEmpty();
    assertThat(nano.isSpecial(3)).isTrue();
    assertThat(nano.isSpecial(4)).isFalse();
  }

  @Test
  void randomTextComesBack() {
    Random random = new Random(1);
    for (int round = 0; round < 500; round++) {
      String text = randomText(random, random.nextInt(60));
      assertThat(nano.decode(nano.encode(text))).isEqualTo(text);
    }
  }

  static String randomText(Random random, int length) {
    int[] tops = {0x80, 0x800, 0xD800, 0x20000};
    int[] points =
        IntStream.generate(() -> random.nextInt(tops[random.nextInt(tops.length)]))
            .filter(p -> p < 0xD800 || p > 0xDFFF)
            .limit(length)
            .toArray();
    return new String(points, 0, points.length) + "🙂👩‍👩‍👧";
  }

  @Test
  void decodesAsTheNativeTokenizer() throws IOException {
    TokenizersLibrary library = TokenizersLibrary.LIB;
    String json = Files.readString(SharedFiles.nano().resolve("tokenizer.json"));
    long handle = library.createTokenizerFromString(json);
    Random random = new Random(7);
    for (int round = 0; round < 20_000; round++) {
      int[] ids = random.ints(random.nextInt(12), 0, round % 2 == 0 ? 260 : 2048).toArray();
      long[] wide = IntStream.of(ids).asLongStream().toArray();
      assertThat(nano.decode(ids)).isEqualTo(library.decode(handle, wide, false));
      assertThat(nano.decode(ids, true)).isEqualTo(library.decode(handle, wide, true));
    }
    library.deleteTokenizer(handle);
  }

  @Test
  void everyByteHasItsToken() {
    boolean[] seen = new boolean[256];
    for (int id = 0; id < nano.vocabularySize(); id++) {
      byte[] bytes = nano.bytes(id);
      if (bytes.length == 1) {
        seen[bytes[0] & 0xFF] = true;
      }
    }
    assertThat(seen).doesNotContain(false);
  }

  @Test
  void bytesAreACopy() {
    nano.bytes(4)[0] = 0;
    assertThat(nano.bytes(4)).containsExactly('!');
  }

  @Test
  void unpairedSurrogatesBecomeReplacementCharacters() {
    assertThat(nano.decode(nano.encode("a\ud83db\ude42c🙂"))).isEqualTo("a\ufffdb\ufffdc🙂");
  }

  @Test
  void specialTokensAreRecognisedInTextAndSkippedOnDemand() {
    int[] ids = nano.encode("<end_of_sentence>It<begin_of_document>");
    assertThat(ids).startsWith(3).endsWith(0);
    assertThat(nano.decode(ids)).isEqualTo("<end_of_sentence>It<begin_of_document>");
    assertThat(nano.decode(ids, true)).isEqualTo("It");
  }

  @Test
  void longTextIsNotCut() {
    assertThat(nano.encode("word ".repeat(20_000))).hasSizeGreaterThan(20_000);
  }

  @ParameterizedTest
  @CsvSource({"-1", "2048", "2147483647", "-2147483648"})
  void idsOutsideAreNamed(int id) {
    String[] said = {"expected 0 to 2047", "vocabulary of 2048", "got " + id};
    assertThatIllegalArgumentException()
        .isThrownBy(() -> nano.decode(new int[] {4, id}))
        .withMessageContainingAll(said);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> nano.decode(new int[] {4, id}, true))
        .withMessageContainingAll(said);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> nano.bytes(id))
        .withMessageContainingAll(said);
    assertThatIllegalArgumentException().isThrownBy(() -> nano.isSpecial(id));
  }

  @Test
  void closedTokenizersOnlyDecode() {
    Tokenizer tokenizer = Tokenizer.load(SharedFiles.nano());
    tokenizer.close();
    tokenizer.close();
    assertThatIllegalStateException().isThrownBy(() -> tokenizer.encode("a"));
    assertThat(tokenizer.decode(new int[] {4})).isEqualTo("!");
  }

  @Test
  void threadsShareATokenizer() {
    String text = randomText(new Random(3), 200);
    int[] ids = nano.encode(text);
    IntStream.range(0, 200)
        .parallel()
        .forEach(i -> assertThat(nano.encode(text)).containsExactly(ids));
  }

  @Test
  void loadingLeavesNoTrace() {
    assertThat(System.getProperty("ai.djl.offline")).isNull();
  }

  @Test
  void smallVocabularyGetsTheTokensOfItsConfiguration() throws IOException {
    write("vocab.json", "{\"a\":0,\"b\":1,\"ab\":2,\"Ġ\":3}");
    write("merges.txt", "#version: 0.2\na b\n");
    write(
        "tokenizer_config.json",
        "{\"eos_token\":{\"content\":\"<end>\"},\"bos_token\":\"<begin>\",\"unk_token\":\"<end>\"}");
    try (Tokenizer tokenizer = Tokenizer.load(folder)) {
      assertThat(tokenizer.vocabularySize()).isEqualTo(6);
      assertThat(tokenizer.bos()).hasValue(4);
      assertThat(tokenizer.eos()).hasValue(5);
      assertThat(tokenizer.encode("<begin>ab ba<end>")).containsExactly(4, 2, 3, 1, 0, 5);
      assertThat(tokenizer.decode(new int[] {4, 2, 3, 1, 0, 5}, true)).isEqualTo("ab ba");
    }
  }

  @Test
  void addedTokensKeepTheirIdsAndGapsAreReserved() throws IOException {
    write("vocab.json", "{\"a\":0,\"b\":1}");
    write("merges.txt", "");
    write(
        "tokenizer_config.json",
        "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<x y>\"}},\"eos_token\":\"<x y>\"}");
    try (Tokenizer tokenizer = Tokenizer.load(folder)) {
      assertThat(tokenizer.encode("a<x y>b")).containsExactly(0, 7, 1);
      assertThat(tokenizer.decode(new int[] {0, 7, 5})).isEqualTo("a<x y><reserved_5>");
      assertThat(tokenizer.isSpecial(5)).isTrue();
    }
  }

  @Test
  void missingFilesAreNamed() {
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContainingAll(folder.toString(), "tokenizer.json", "vocab.json", "merges.txt");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{ | cannot be read as JSON",
        "[] | expected a JSON object",
        "{} | decoder.type",
        "{\"model\":{\"type\":\"Unigram\"}} | expected BPE, got Unigram",
        "{\"decoder\":{\"type\":\"WordPiece\"}} | expected ByteLevel, got WordPiece",
        "{\"decoder\":{\"type\":\"ByteLevel\"}} | vocab",
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":-1}}} | got -1",
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":1e9}}} | token \"a\"",
        "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0}}} | not a tokenizer",
      })
  void brokenTokenizerJsonIsNamed(String json, String said) throws IOException {
    write("tokenizer.json", json);
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContainingAll("tokenizer.json", said);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"ab | line 1", "a b c | line 1", "a z | not a tokenizer", "'a ' | line 1"})
  void brokenMergesAreNamed(String merges, String said) throws IOException {
    write("vocab.json", "{\"a\":0,\"b\":1}");
    write("merges.txt", merges);
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(said);
  }

  @Test
  void brokenConfigurationIsNamed() throws IOException {
    write("vocab.json", "{\"a\":0}");
    write("merges.txt", "");
    write("tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{}}}");
    assertThatThrownBy(() -> Tokenizer.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContainingAll("tokenizer_config.json", "\"x\"");
  }

  private void write(String file, String text) throws IOException {
    Files.writeString(folder.resolve(file), text);
  }
}
