package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Token ids against independent tokenizers. */
final class TokenizerGoldenTest {
  private static final List<Tokenizer> OPEN = new ArrayList<>();

  @AfterAll
  static void close() {
    OPEN.forEach(Tokenizer::close);
  }

  private static Tokenizer open(Path folder) {
    Tokenizer tokenizer = Tokenizer.load(folder);
    OPEN.add(tokenizer);
    return tokenizer;
  }

  @TestFactory
  List<DynamicTest> tokenizerJson() throws IOException {
    Path folder = SharedFiles.shared("fixtures/text/tokenizer");
    Tokenizer tokenizer = open(folder);
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode golden : SharedFiles.json(folder.resolve("cases.json"))) {
      tests.add(DynamicTest.dynamicTest("case " + tests.size(), () -> check(tokenizer, golden)));
    }
    assertThat(tests).hasSizeGreaterThan(90);
    return tests;
  }

  private static void check(Tokenizer tokenizer, JsonNode golden) {
    int[] ids = SharedFiles.ids(golden.path("ids"));
    assertThat(tokenizer.encode(golden.path("text").asText())).containsExactly(ids);
    assertThat(tokenizer.decode(ids)).isEqualTo(golden.path("decoded").asText());
    assertThat(tokenizer.decode(ids, true)).isEqualTo(golden.path("decoded_skip").asText());
  }

  @TestFactory
  List<DynamicTest> vocabularyAndMerges() throws IOException {
    Path folder = SharedFiles.shared("minimax-m1");
    Tokenizer tokenizer = open(folder);
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode golden : SharedFiles.json(folder.resolve("golden.json")).path("encode")) {
      int[] ids = SharedFiles.ids(golden.path("ids"));
      String text = golden.path("text").asText();
      tests.add(
          DynamicTest.dynamicTest(
              "case " + tests.size(),
              () -> {
                assertThat(tokenizer.encode(text)).containsExactly(ids);
                assertThat(tokenizer.decode(ids)).isEqualTo(text);
              }));
    }
    assertThat(tests).isNotEmpty();
    return tests;
  }

  @Test
  void releasedVocabularyHasItsSpecialTokens() {
    Tokenizer tokenizer = open(SharedFiles.shared("minimax-m1"));
    assertThat(tokenizer.vocabularySize()).isEqualTo(200_064);
    assertThat(tokenizer.eos()).hasValue(200_020);
    assertThat(tokenizer.bos()).hasValue(200_019);
    assertThat(tokenizer.id("<begin_of_document>")).hasValue(200_034);
    assertThat(tokenizer.id("<end_of_document>")).hasValue(200_021);
    assertThat(tokenizer.encode("<begin_of_document><beginning_of_sentence>a<end_of_sentence>\n"))
        .containsExactly(200_034, 200_019, 97, 200_020, 10);
    for (int value = 0; value < 256; value++) {
      assertThat(tokenizer.bytes(value)).containsExactly(value);
    }
    assertThat(tokenizer.isSpecial(200_000)).isTrue();
    assertThat(tokenizer.decode(new int[] {200_000})).isEqualTo("<reserved_200000>");
    assertThat(tokenizer.encode("<reserved_200000>")).doesNotContain(200_000).hasSizeGreaterThan(1);
  }

  @Test
  void nanoEncodesItsPrompts() throws IOException {
    Tokenizer tokenizer = open(SharedFiles.nano());
    JsonNode expected = SharedFiles.json(SharedFiles.nano().resolve("expected.json"));
    assertThat(expected.path("greedy")).isNotEmpty();
    for (JsonNode golden : expected.path("greedy")) {
      assertThat(tokenizer.encode(golden.path("prompt").asText()))
          .containsExactly(SharedFiles.ids(golden.path("prompt_ids")));
      assertThat(tokenizer.decode(SharedFiles.ids(golden.path("greedy_ids"))))
          .isEqualTo(golden.path("text").asText());
    }
  }
}
