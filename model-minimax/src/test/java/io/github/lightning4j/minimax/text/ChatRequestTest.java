package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Requests, built and read. */
final class ChatRequestTest {
  @TempDir Path folder;

  @Test
  void readsAListOfMessages() {
    ChatRequest read =
        ChatRequest.parse(
            "[{\"role\":\"user\",\"content\":\"Hi\"},"
                + "{\"role\":\"tool\",\"name\":\"t\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]");
    assertThat(read.messages().get(0)).isEqualTo(ChatMessage.user("Hi"));
    assertThat(read.messages().get(1).content())
        .containsExactly(new ChatMessage.Part("text", "x", "t"));
    assertThat(read.addGenerationPrompt()).isTrue();
    assertThat(read.tools()).isEmpty();
  }

  @Test
  void readsAFileWithTools() throws IOException {
    Path file = folder.resolve("chat.json");
    Files.writeString(
        file, "{\"messages\":[],\"tools\":[{\"z\":1,\"a\":null}],\"add_generation_prompt\":false}");
    ChatRequest read = ChatRequest.parse(file);
    assertThat(read.tools().get(0).keySet()).containsExactly("z", "a");
    assertThat(read.addGenerationPrompt()).isFalse();
  }

  @Test
  void growsByCopies() {
    ChatRequest one = ChatRequest.of(ChatMessage.system("s"));
    ChatRequest two =
        one.withMessage(ChatMessage.user("u"))
            .withTool("{\"name\":\"f\"}")
            .withTool(Map.of("name", "g"));
    assertThat(one.messages()).hasSize(1);
    assertThat(two.messages()).hasSize(2);
    assertThat(two.tools()).containsExactly(Map.of("name", "f"), Map.of("name", "g"));
  }

  @Test
  void toolsAndFunctionsNeedNames() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ChatMessage("tool", List.of(ChatMessage.Part.text("x")), null))
        .withMessageContaining("content[0].name");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new ChatMessage("function", List.of(), null))
        .withMessageContaining("name");
    assertThatIllegalArgumentException().isThrownBy(() -> new ChatMessage(" ", List.of(), null));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"messages\": | chat request:1: not JSON",
        "[] [] | not JSON",
        "{} | messages: expected a list of messages, got nothing",
        "{\"messages\":[],\"tools\":{}} | tools: expected a list",
        "{\"messages\":[],\"tools\":[1]} | tools[0]: expected a JSON object, got 1",
        "[{\"content\":\"x\"}] | messages[0].role: expected a string, got nothing",
        "{\"messages\":[],\"add_generation_prompt\":\"no\"} | add_generation_prompt: expected true or",
        "{\"messages\":[],\"tool\":[]} | chat request: tool: unknown key; expected one of messages, tools,",
        "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[]}]"
            + " | messages[1].tool_calls: unknown key; put the calls into content as <tool_calls>",
        "[{\"role\":\"tool\",\"tool_call_id\":\"7\"}] | messages[0].tool_call_id: unknown key; expected",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"txt\":\"\"}]}]"
            + " | messages[0].content[0].txt: unknown key; expected one of type, text, name",
        "[{\"role\":\"user\",\"content\":null}]"
            + " | messages[0].content: expected a string (\"\" for nothing) or a list of {type, text}, got null",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}] | messages[0].content[0].text",
        "[{\"role\":\"user\",\"content\":\"\",\"name\":1}] | messages[0].name",
        "[{\"role\":\"tool\",\"content\":\"x\"}] | messages[0].content[0].name",
      })
  void errorsNameThePlace(String json, String said) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ChatRequest.parse(json))
        .withMessageContaining(said);
  }

  @Test
  void missingFileAndBrokenToolAreNamed() {
    Path missing = folder.resolve("none.json");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ChatRequest.parse(missing))
        .withMessageContaining(missing.toString());
    ChatRequest request = ChatRequest.of();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> request.withTool("[1"))
        .withMessageContaining("tool:1");
    assertThatIllegalArgumentException().isThrownBy(() -> request.withTool("3"));
  }
}
