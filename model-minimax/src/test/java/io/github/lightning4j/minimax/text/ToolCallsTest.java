package io.github.lightning4j.minimax.text;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Answers taken apart. */
final class ToolCallsTest {

  @Test
  void plainTextIsText() {
    ToolCalls parsed = ToolCalls.parse("Hello <b>there</b>");
    assertThat(parsed.text()).isEqualTo("Hello <b>there</b>");
    assertThat(parsed.thinking()).isEmpty();
    assertThat(parsed.calls()).isEmpty();
    assertThat(parsed.malformed()).isEmpty();
    assertThat(ToolCalls.parse("")).isEqualTo(ToolCalls.parse("  \n"));
  }

  @Test
  void callsKeepTheirArgumentsAsWritten() {
    ToolCalls parsed =
        ToolCalls.parse(
            "<think>\nI call\n</think>\nOK:\n<tool_calls>\n"
                + "{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich 🙂\", \"n\": 1.50, \"e\":[{ }]}}\n"
                + "{\"arguments\":{},\"id\":[1,{}],\"name\":\"f\"}\r\n"
                + "</tool_calls> bye");
    assertThat(parsed.thinking()).isEqualTo("I call");
    assertThat(parsed.text()).isEqualTo("OK:\n bye");
    assertThat(parsed.calls())
        .containsExactly(
            new ToolCall("w", "{\"city\": \"Zürich 🙂\", \"n\": 1.50, \"e\":[{ }]}"),
            new ToolCall("f", "{}"));
    assertThat(parsed.malformed()).isEmpty();
  }

  @Test
  void callsInThoughtsDoNotCount() {
    String call = "<tool_calls>\n{\"name\":\"a\",\"arguments\":{}}\n</tool_calls>";
    ToolCalls parsed = ToolCalls.parse("<think>" + call + "</think>x" + call);
    assertThat(parsed.calls()).hasSize(1);
    assertThat(parsed.thinking()).isEqualTo(call);
    assertThat(ToolCalls.parse("<think>" + call).calls()).isEmpty();
  }

  @Test
  void thoughtMarksInArgumentsAreText() {
    ToolCalls parsed =
        ToolCalls.parse(
            "<tool_calls>\n{\"name\":\"a\",\"arguments\":{\"t\":\"<think>\"}}\n</tool_calls>z");
    assertThat(parsed.calls()).containsExactly(new ToolCall("a", "{\"t\":\"<think>\"}"));
    assertThat(parsed.text()).isEqualTo("z");
  }

  @Test
  void malformedLinesAreReportedAndTheRestRead() {
    ToolCalls parsed =
        ToolCalls.parse(
            "hi\n<tool_calls>\n{\"name\":\"a\",\"arguments\":{}}\n{broken\n[1]\n"
                + "{\"name\":\"b\"}\n{\"arguments\":{}}\n{\"name\":\"c\",\"arguments\":\"s\"}\n"
                + "{\"name\":\"d\",\"arguments\":{}} x\n{\"name\":\"e\",\"arguments\":{}}\n"
                + "{\"name\":\"f\",\"argu");
    assertThat(parsed.calls()).extracting(ToolCall::name).containsExactly("a", "e");
    assertThat(parsed.malformed())
        .extracting(ToolCalls.Malformed::line)
        .containsExactly(4, 5, 6, 7, 8, 9, 11);
    assertThat(parsed.malformed().get(0).text()).isEqualTo("{broken");
    assertThat(parsed.malformed().get(0).reason()).startsWith("not JSON");
    assertThat(parsed.malformed().get(2).reason()).contains("arguments");
    assertThat(parsed.malformed().get(3).reason()).contains("name");
    assertThat(parsed.text()).isEqualTo("hi");
  }

  @Test
  void severalThoughtsAreJoined() {
    ToolCalls parsed = ToolCalls.parse("<think>a</think>x<think>b");
    assertThat(parsed.thinking()).isEqualTo("a\nb");
    assertThat(parsed.text()).isEqualTo("x");
  }
}
