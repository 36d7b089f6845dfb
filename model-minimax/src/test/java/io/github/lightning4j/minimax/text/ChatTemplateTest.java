package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Templates against Python's Jinja, and their errors. */
final class ChatTemplateTest {
  private static final ChatRequest HELLO = ChatRequest.of(ChatMessage.user("Hi"));

  @TempDir Path folder;

  private static DynamicTest golden(String name, ChatTemplate template, JsonNode golden) {
    return DynamicTest.dynamicTest(
        name,
        () ->
            assertThat(template.render(request(golden)))
                .isEqualTo(golden.path("rendered").asText()));
  }

  /** The request that a golden case holds among its results. */
  private static ChatRequest request(JsonNode golden) {
    ObjectNode request = golden.deepCopy();
    request.retain("messages", "tools", "add_generation_prompt");
    return ChatRequest.parse(request.toString());
  }

  @TestFactory
  List<DynamicTest> releasedTemplates() throws IOException {
    Path shared = SharedFiles.shared("fixtures/text/chat_template");
    JsonNode texts = SharedFiles.json(shared.resolve("templates.json"));
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode golden : SharedFiles.json(shared.resolve("cases.json"))) {
      String name = golden.path("template").asText();
      ChatTemplate bundled =
          name.equals("m1") ? ChatTemplate.minimaxM1() : ChatTemplate.minimaxText01();
      String label = name + " " + tests.size();
      tests.add(golden(label, ChatTemplate.of(texts.path(name).asText()), golden));
      tests.add(golden(label + " bundled", bundled, golden));
    }
    assertThat(tests).hasSize(28);
    return tests;
  }

  @TestFactory
  List<DynamicTest> templateOfTheCheckpoint() throws IOException {
    Path shared = SharedFiles.shared("minimax-m1");
    ChatTemplate template = ChatTemplate.load(shared);
    List<DynamicTest> tests = new ArrayList<>();
    for (JsonNode golden : SharedFiles.json(shared.resolve("golden.json")).path("chat")) {
      tests.add(golden(golden.path("name").asText(), template, golden));
    }
    assertThat(tests).hasSize(6);
    return tests;
  }

  @TestFactory
  List<DynamicTest> pythonJinja() throws IOException {
    try (InputStream in = ChatTemplateTest.class.getResourceAsStream("jinja-cases.json")) {
      JsonNode root = SharedFiles.JSON.readTree(in);
      ChatRequest request = request(root);
      List<DynamicTest> tests = new ArrayList<>();
      for (JsonNode golden : root.path("cases")) {
        String template = golden.path("template").asText();
        tests.add(
            DynamicTest.dynamicTest(
                template.isEmpty() ? "empty" : template.replace("\n", "\\n").replace("\r", "\\r"),
                () ->
                    assertThat(ChatTemplate.of(template).render(request))
                        .isEqualTo(golden.path("rendered").asText())));
      }
      assertThat(tests).hasSize(37);
      return tests;
    }
  }

  @Test
  void bundledM1NeedsNoFiles() {
    assertThat(ChatTemplate.minimaxM1().render(HELLO))
        .isEqualTo(
            "<begin_of_document><beginning_of_sentence>user name=user\nHi<end_of_sentence>\n"
                + "<beginning_of_sentence>ai name=assistant\n");
  }

  @Test
  void bundledText01PrintsFunctionResults() {
    ChatRequest request = ChatRequest.of(ChatMessage.function("f", "{\"t\": 1}"));
    assertThat(ChatTemplate.minimaxText01().render(request.withGenerationPrompt(false)))
        .isEqualTo(
            "<beginning_of_sentence>system function_response=functions\n"
                + "{\"name\": \"f\", \"response\": {\"t\": 1}}<end_of_sentence>\n");
  }

  @Test
  void bundledVl01ShowsPicturesInTheirPlace() {
    ChatRequest request =
        ChatRequest.parse(
            "[{\"role\":\"system\",\"content\":\"S\"},"
                + "{\"role\":\"user\",\"content\":[{\"type\":\"image\"},"
                + "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"},"
                + "{\"type\":\"text\",\"text\":\"b\"}]},"
                + "{\"role\":\"assistant\",\"content\":\"c\"}]");
    assertThat(ChatTemplate.minimaxVl01().render(request))
        .isEqualTo(
            "<beginning_of_sentence>system ai_setting=assistant\nS<end_of_sentence>\n"
                + "<beginning_of_sentence>user name=user\n<image>a<image>b<end_of_sentence>\n"
                + "<beginning_of_sentence>ai name=assistant\nc<end_of_sentence>\n"
                + "<beginning_of_sentence>ai name=assistant\n");
  }

  @Test
  void bundledVl01WithoutPicturesIsThatOfText01() {
    ChatRequest request =
        ChatRequest.of(
                ChatMessage.system("s"),
                ChatMessage.user("{{ u }}"),
                ChatMessage.assistant("a"),
                ChatMessage.function("f", "{\"t\": 1}"))
            .withTool("{\"name\":\"f\",\"z\":[1,null]}");
    assertThat(ChatTemplate.minimaxVl01().render(request))
        .isEqualTo(ChatTemplate.minimaxText01().render(request));
  }

  @Test
  void textIsNeverReadAsATemplate() {
    String text = "{{ 1 + 1 }}{% if %}{# x #} <b>&amp;</b> ''q'' \\n";
    assertThat(ChatTemplate.minimaxM1().render(ChatRequest.of(ChatMessage.user(text))))
        .contains("user name=user\n" + text + "<end_of_sentence>");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "a\\n{% for x in y if x %}{% endfor %} | 2 | for ... if",
        "{% for x in y recursive %}{% endfor %} | 1 | recursive",
        "{% for x in y %}{% else %}{% endfor %} | 1 | else in a for",
        "a\\nb\\n{% foo %} | 3 | tag \"foo\"",
        "{% include 'x' %} | 1 | include",
        "\\n{% if x %}\\n | 2 | if without endif",
        "{% endif %} | 1 | endif without",
        "{% if x %}{% endfor %} | 1 | endfor",
        "{% else %} | 1 | else without if",
        "{% break %} | 1 | break without for",
        "{{ 'x }} | 1 | {{ without }}",
        "\\n\\n{{ x | 3 | {{ without }}",
        "{% if x | 1 | {% without %}",
        "{# x | 1 | comment",
        "{% raw %} x | 1 | raw without endraw",
        "{% set x %} | 1 | set without endset",
      })
  void brokenTemplatesNameTheirLine(String template, int line, String said) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ChatTemplate.of(template.replace("\\n", "\n")))
        .withMessageStartingWith("chat template:" + line + ": ")
        .withMessageContaining(said);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "a\\n\\n{{ 1 + }} | 3 | 1 +",
        "{# c\\n #}\\n{{ unknown(1) }} | 3 | unknown",
        "{% if true %}\\n{% if true %}\\n\\n{{ raise_exception('no ' ~ 'way') }}{% endif %}{% endif %} | 4 | no way",
        "x\\n{% if raise_exception('in tag') %}{% endif %} | 2 | in tag",
        "{{ 'a\\nb' }}\\n{% for m in messages %}\\n{{ m.role.nope() }}{% endfor %} | 4 | nope",
        "x\\n{% set q = 1 + %} | 2 | 1 +",
      })
  void failuresNameTheirLine(String template, int line, String said) {
    ChatTemplate broken = ChatTemplate.of(template.replace("\\n", "\n"));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> broken.render(HELLO))
        .withMessageStartingWith("chat template:" + line + ": ")
        .withMessageContaining(said);
  }

  @Test
  void fileBesideTheConfigurationComesFirst() throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\":\"config\"}");
    assertThat(ChatTemplate.load(folder).render(HELLO)).isEqualTo("config");
    Files.writeString(folder.resolve("chat_template.jinja"), "file");
    assertThat(ChatTemplate.load(folder).render(HELLO)).isEqualTo("file");
  }

  @Test
  void namedTemplatesGiveTheDefaultOne() throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"chat_template\":[{\"name\":\"tool\",\"template\":\"t\"},"
            + "{\"name\":\"default\",\"template\":\"d\"}]}");
    assertThat(ChatTemplate.load(folder).render(HELLO)).isEqualTo("d");
  }

  @Test
  void missingAndBrokenTemplatesAreNamed() throws IOException {
    assertThatThrownBy(() -> ChatTemplate.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContainingAll(folder.toString(), "chat_template.jinja");
    Files.writeString(folder.resolve("chat_template.jinja"), "\n{% foo %}");
    assertThatThrownBy(() -> ChatTemplate.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("chat_template.jinja:2: ");
  }
}
