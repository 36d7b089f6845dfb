package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.minimax.GenerationResult;
import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import io.github.lightning4j.minimax.text.ChatMessage;
import io.github.lightning4j.minimax.text.ChatRequest;
import io.github.lightning4j.minimax.text.ChatTemplate;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.text.ToolCalls;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code minimax generate}. */
final class GenerateCommandTest {
  @TempDir private Path temp;

  static Stream<JsonNode> greedy() {
    JsonNode expected = Repository.json(Repository.NANO.resolve("expected.json"));
    return StreamSupport.stream(expected.get("greedy").spliterator(), false);
  }

  @ParameterizedTest
  @MethodSource("greedy")
  void continuesAsTheReferencesDo(JsonNode expected) {
    int count = expected.get("greedy_ids").size();
    JsonNode result =
        CommandRun.done(
                "generate",
                "--model",
                Repository.NANO,
                "--prompt",
                expected.get("prompt").asText(),
                "--max-new-tokens",
                count,
                "--json")
            .json();
    assertThat(result.get("ids")).isEqualTo(expected.get("greedy_ids"));
    assertThat(result.get("text").asText()).isEqualTo(expected.get("text").asText());
    assertThat(result.get("promptTokens").asInt()).isEqualTo(expected.get("prompt_ids").size());
    assertThat(result.get("finishReason").asText()).isEqualTo("length");
  }

  @Test
  void jsonIsOneObjectWithTheseKeysAndNothingElse() {
    CommandRun run = CommandRun.done("generate", "--json", "--max-new-tokens", 5);
    List<String> keys = new ArrayList<>();
    run.json().fieldNames().forEachRemaining(keys::add);
    keys.remove("peakRssBytes"); // only where the system tells
    assertThat(keys)
        .containsExactly(
            "ids",
            "text",
            "promptTokens",
            "prefillTokensPerSecond",
            "decodeTokensPerSecond",
            "finishReason");
    assertThat(run.json().get("prefillTokensPerSecond").asDouble()).isPositive();
    assertThat(run.json().get("decodeTokensPerSecond").asDouble()).isPositive();
    assertThat(run.err()).isEmpty();
  }

  @Test
  void textGoesToOutAndFiguresToErr() {
    CommandRun run = CommandRun.done("generate", "--max-new-tokens", 8);
    JsonNode expected = greedy().findFirst().orElseThrow();
    assertThat(expected.get("text").asText()).startsWith(run.out().strip());
    assertThat(run.out()).hasSizeGreaterThan(10);
    assertThat(run.err()).matches("12 prompt tokens at \\d+/s, 8 new tokens at \\d+/s\\R");
  }

  @Test
  void embeddedModelIsNanoWithAPromptOfItsOwn() {
    JsonNode embedded = CommandRun.done("generate", "--json", "--max-new-tokens", 8).json();
    JsonNode expected = greedy().findFirst().orElseThrow().get("greedy_ids");
    assertThat(ids(embedded)).isEqualTo(ids(expected).subList(0, 8));
  }

  @Test
  void idsNeedNoTokenizer() {
    Path fixture = Repository.fixture("alt_gqa_b32");
    try (SafetensorsFile expected = SafetensorsFile.open(fixture.resolve("expected.safetensors"))) {
      long[] prompt = expected.tensor("gen.prompt_ids").toLongs();
      long[] ids = expected.tensor("gen.ids").toLongs();
      Object[] args = {
        "generate",
        "--model",
        fixture.resolve("hf"),
        "--prompt-ids",
        Arrays.stream(prompt).mapToObj(Long::toString).collect(Collectors.joining(",")),
        "--max-new-tokens",
        ids.length,
        "--json"
      };
      JsonNode result = CommandRun.done(args).json();
      assertThat(ids(result)).isEqualTo(Arrays.stream(ids).boxed().toList());
      assertThat(result.get("text").asText()).isEmpty();
      CommandRun shown = CommandRun.done(Arrays.copyOf(args, args.length - 1));
      assertThat(shown.out().strip())
          .isEqualTo(Arrays.stream(ids).mapToObj(Long::toString).collect(Collectors.joining(" ")));
    }
  }

  @Test
  void picturesStandAtTheirPlaceholders() {
    Path fixture = Repository.fixture("vl-tiny/gelu_4l");
    Path images = Repository.fixture("vl-preprocess/images");
    try (SafetensorsFile expected = SafetensorsFile.open(fixture.resolve("expected.safetensors"))) {
      List<Long> ids = Arrays.stream(expected.tensor("two.gen_ids").toLongs()).boxed().toList();
      String prompt =
          Arrays.stream(expected.tensor("two.prompt_ids").toLongs())
              .mapToObj(Long::toString)
              .collect(Collectors.joining(","));
      JsonNode result =
          CommandRun.done(
                  "generate",
                  "--model",
                  fixture.resolve("orig"),
                  "--prompt-ids",
                  prompt,
                  "--image",
                  images.resolve("square_photo_jpg444.jpg"),
                  "--image",
                  images.resolve("row_1px.png"),
                  "--max-new-tokens",
                  ids.size(),
                  "--json")
              .json();
      assertThat(ids(result)).isEqualTo(ids);
      assertThat(result.get("promptTokens").asInt()).isEqualTo(197);
    }
  }

  @Test
  void picturesStandBeforeATextWithoutPlaceholders() throws Exception {
    Path folder =
        Repository.copy(Repository.fixture("vl-tiny/gelu_4l/orig"), temp.resolve("pictures"));
    Files.writeString(folder.resolve("vocab.json"), "{\"a\":0,\"b\":1,\"c\":2}");
    Files.writeString(folder.resolve("merges.txt"), "");
    Path gray = Repository.fixture("vl-preprocess/images/gray.png");
    JsonNode byIds = pictured(folder, gray, "--prompt-ids", "75,0,1,2");
    assertThat(byIds.get("promptTokens").asInt()).isEqualTo(103);
    assertThat(ids(pictured(folder, gray, "--prompt", "abc"))).isEqualTo(ids(byIds));
    assertThat(ids(pictured(folder, gray, "--prompt", "a<image>bc"))).isNotEqualTo(ids(byIds));
    Path chat =
        Files.writeString(
            temp.resolve("chat.json"),
            "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},"
                + "{\"type\":\"text\",\"text\":\"abc\"}]}]");
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{% for p in messages[0].content %}{{ '<image>' if p.type == 'image' else p.text }}"
            + "{% endfor %}");
    assertThat(ids(pictured(folder, gray, "--chat", chat))).isEqualTo(ids(byIds));
  }

  private static JsonNode pictured(Path folder, Path image, String option, Object prompt) {
    return CommandRun.done(
            "generate",
            "--model",
            folder,
            option,
            prompt,
            "--image",
            image,
            "--max-new-tokens",
            8,
            "--json")
        .json();
  }

  @Test
  void conversationTakesTheTemplateOfM1WhereTheFolderHasNone() throws Exception {
    Path chat =
        Files.writeString(
            temp.resolve("chat.json"), "[{\"role\":\"user\",\"content\":\"Hello, sir.\"}]");
    JsonNode result =
        CommandRun.done(
                "generate",
                "--model",
                Repository.NANO,
                "--chat",
                chat,
                "--max-new-tokens",
                4,
                "--json")
            .json();
    String rendered =
        ChatTemplate.minimaxM1().render(ChatRequest.of(ChatMessage.user("Hello, sir.")));
    try (Tokenizer tokenizer = Tokenizer.load(Repository.NANO)) {
      assertThat(result.get("promptTokens").asInt()).isEqualTo(tokenizer.encode(rendered).length);
    }
    assertThat(result.has("toolCalls")).isFalse();
  }

  @Test
  void conversationTakesTheTemplateOfTheFolder() throws Exception {
    Path folder = Repository.copy(Repository.NANO, temp.resolve("model"));
    Repository.edit(
        folder.resolve("tokenizer_config.json"),
        config ->
            config.put(
                "chat_template", "{% for m in messages %}{{ m.content[0].text }}{% endfor %}"));
    Path chat =
        Files.writeString(
            temp.resolve("chat.json"), "[{\"role\":\"user\",\"content\":\"Mr. Darcy\"}]");
    JsonNode asked =
        CommandRun.done(
                "generate", "--model", folder, "--chat", chat, "--max-new-tokens", 6, "--json")
            .json();
    JsonNode prompted =
        CommandRun.done("generate", "--prompt", "Mr. Darcy", "--max-new-tokens", 6, "--json")
            .json();
    assertThat(asked.get("ids")).isEqualTo(prompted.get("ids"));
  }

  @Test
  void toolCallsAreToldApart() {
    GenerationResult result =
        new GenerationResult(List.of(1), "a call", 3, FinishReason.STOP, 1_000_000, 0);
    String answer =
        "<tool_calls>\n{\"name\": \"find\", \"arguments\": {\"what\": [1, \"two\"]}}\n</tool_calls>";
    JsonNode node = GenerateCommand.describe(result, ToolCalls.parse(answer).calls());
    assertThat(node.get("toolCalls").toString())
        .isEqualTo("[{\"name\":\"find\",\"arguments\":{\"what\":[1,\"two\"]}}]");
    assertThat(node.get("finishReason").asText()).isEqualTo("stop");
  }

  @Test
  void seedDecidesWhatIsSampled() {
    JsonNode first = sampled(1);
    assertThat(sampled(1)).isEqualTo(first);
    assertThat(sampled(2)).isNotEqualTo(first);
  }

  private static JsonNode sampled(int seed) {
    return CommandRun.done(
            "generate",
            "--temperature",
            1,
            "--top-p",
            0.95,
            "--top-k",
            200,
            "--seed",
            seed,
            "--max-new-tokens",
            12,
            "--json")
        .json()
        .get("ids");
  }

  @Test
  void stopTextEndsTheAnswer() {
    JsonNode result =
        CommandRun.done(
                "generate", "--stop", "sure", "--stop", "zzz", "--max-new-tokens", 40, "--json")
            .json();
    assertThat(result.get("text").asText()).isEqualTo(", and I am ");
    assertThat(result.get("finishReason").asText()).isEqualTo("stop");
  }

  @Test
  void guessesChangeNoText() {
    List<Long> ids = ids(CommandRun.done("generate", "--json", "--max-new-tokens", 60).json());
    JsonNode guessed =
        CommandRun.done("generate", "--json", "--max-new-tokens", 60, "--prompt-lookup", 8).json();
    assertThat(ids(guessed)).isEqualTo(ids).hasSize(60);
  }

  private static List<Long> ids(JsonNode node) {
    List<Long> ids = new ArrayList<>();
    (node.isArray() ? node : node.get("ids")).forEach(id -> ids.add(id.asLong()));
    return ids;
  }
}
