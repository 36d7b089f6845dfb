package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class GeneratorTest {
  private static final String PROMPT = "It is a truth universally acknowledged";
  private static MiniMaxModel model;
  private static Tokenizer tokenizer;

  @BeforeAll
  static void load() {
    model = Nano.load();
    tokenizer = Tokenizer.load(Nano.FOLDER);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
    model.close();
  }

  private static GenerationResult generate(GenerationOptions options) {
    return new Generator(model, tokenizer).generate(PROMPT, options);
  }

  @Test
  void stopsBeforeAStopString() {
    // Greedy: ", and I am sure it is not in my life. I am sure ..."
    GenerationResult result =
        generate(GenerationOptions.builder().stopStrings("my life", "nowhere").build());
    assertThat(result.text()).isEqualTo(", and I am sure it is not in ");
    assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
  }

  @Test
  void stopsAtAStopTokenWhichIsNotText() {
    int full = tokenizer.encode("life.")[tokenizer.encode("life.").length - 1];
    GenerationResult result =
        generate(GenerationOptions.builder().stopTokens(Set.of(full)).build());
    assertThat(result.text()).isEqualTo(", and I am sure it is not in my life");
    assertThat(result.ids()).doesNotContain(full);
    assertThat(result.finishReason()).isEqualTo(FinishReason.STOP);
  }

  @Test
  void oneSeedGivesOneTextAndAnotherSeedAnother() {
    GenerationOptions.Builder options =
        GenerationOptions.builder().maxNewTokens(40).temperature(1).topP(0.95);
    GenerationResult first = generate(options.seed(1).build());
    assertThat(generate(options.seed(1).build()).ids()).isEqualTo(first.ids());
    assertThat(generate(options.seed(2).build()).ids()).isNotEqualTo(first.ids());
  }

  @Test
  void streamedPiecesAreTheTextAndNeverHalfACharacter() {
    List<String> pieces = new ArrayList<>();
    GenerationResult result =
        new Generator(model, tokenizer)
            .stream(
                "\u201cÉ",
                GenerationOptions.builder().maxNewTokens(60).temperature(3).seed(5).build(),
                pieces::add);
    assertThat(String.join("", pieces)).isEqualTo(result.text());
    int[] ids = result.idArray();
    assertThat(result.text()).isEqualTo(tokenizer.decode(ids, true));
    for (String piece : pieces) {
      assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1))).isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 5, 12})
  void anyBudgetClosesTheBlockOnce(int budget) {
    GenerationOptions options =
        GenerationOptions.builder().maxNewTokens(40).thinkingBudget(budget).build();
    GenerationResult result = new Generator(model, tokenizer).generate(PROMPT + "<think>", options);
    int[] close = tokenizer.encode("</think>\n\n");
    for (int i = 0; i < close.length; i++) {
      assertThat(result.ids().get(budget + i)).as("token %s", budget + i).isEqualTo(close[i]);
    }
    assertThat(result.text().indexOf("</think>"))
        .isNotNegative()
        .isEqualTo(result.text().lastIndexOf("</think>"));
  }

  @Test
  void tokensBeyondTheTokenizerHaveNoText(@TempDir Path temp) throws IOException {
    JsonMapper json = JsonMapper.builder().build();
    ObjectNode root = (ObjectNode) json.readTree(Nano.FOLDER.resolve("tokenizer.json").toFile());
    ObjectNode vocabulary = (ObjectNode) root.get("model").get("vocab");
    List<String> late = new ArrayList<>();
    vocabulary.properties().forEach(e -> addIf(e.getValue().asInt() >= 700, late, e.getKey()));
    vocabulary.remove(late);
    ((ArrayNode) root.get("model").get("merges")).removeAll();
    json.writeValue(temp.resolve("tokenizer.json").toFile(), root);
    try (Tokenizer small = Tokenizer.load(temp)) {
      GenerationResult result =
          new Generator(model, small)
              .generate(
                  new int[] {1404, 349},
                  GenerationOptions.builder().maxNewTokens(60).thinkingBudget(3).build(),
                  GenerationListener.NONE);
      assertThat(result.ids()).hasSize(60).anyMatch(id -> id >= 700);
      int[] known = result.ids().stream().mapToInt(i -> i).filter(id -> id < 700).toArray();
      assertThat(result.text()).isEqualTo(small.decode(known, true));
    }
  }

  private static void addIf(boolean condition, List<String> list, String item) {
    if (condition) {
      list.add(item);
    }
  }

  @Test
  void aBudgetWithoutThinkingChangesNothing() {
    GenerationOptions plain = GenerationOptions.builder().maxNewTokens(30).build();
    GenerationOptions budget =
        GenerationOptions.builder().maxNewTokens(30).thinkingBudget(0).build();
    assertThat(generate(budget).ids()).isEqualTo(generate(plain).ids());
  }

  @Test
  void endsWithTheContext(@TempDir Path temp) {
    Path small =
        BrokenCheckpoint.config(
            temp.resolve("m"),
            "\"max_position_embeddings\": 4096",
            "\"max_position_embeddings\": 40");
    try (MiniMaxModel shortModel = MiniMaxModel.load(small)) {
      GenerationResult result =
          new Generator(shortModel)
              .generate(new int[38], GenerationOptions.GREEDY, GenerationListener.NONE);
      // Two more tokens can be read; the third is predicted from the last of them.
      assertThat(result.ids()).hasSize(3);
      assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
    }
  }

  @Test
  void progressAndTokensAreTold() {
    List<Long> prefill = new ArrayList<>();
    List<Integer> tokens = new ArrayList<>();
    int[] prompt = new int[1200];
    GenerationResult result =
        new Generator(model)
            .generate(
                prompt,
                GenerationOptions.builder().maxNewTokens(5).stopAtEos(false).build(),
                new GenerationListener() {
                  @Override
                  public void onPrefill(long done, long total) {
                    assertThat(total).isEqualTo(1200);
                    prefill.add(done);
                  }

                  @Override
                  public void onToken(int id) {
                    tokens.add(id);
                  }
                });
    assertThat(prefill).containsExactly(512L, 1024L, 1200L);
    assertThat(tokens).isEqualTo(result.ids()).hasSize(5);
    assertThat(result.promptTokens()).isEqualTo(1200);
    assertThat(result.text()).isEmpty();
  }

  @Test
  void textNeedsATokenizer() {
    Generator ids = new Generator(model);
    assertThatThrownBy(() -> ids.generate("x", GenerationOptions.GREEDY))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("tokenizer");
    assertThatThrownBy(
            () ->
                ids.generate(
                    new int[] {1},
                    GenerationOptions.builder().stopStrings("x").build(),
                    GenerationListener.NONE))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("stopStrings");
  }

  @Test
  void anEmptyPromptIsRefused() {
    assertThatThrownBy(() -> new Generator(model, tokenizer).generate("", GenerationOptions.GREEDY))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("empty prompt");
  }
}
