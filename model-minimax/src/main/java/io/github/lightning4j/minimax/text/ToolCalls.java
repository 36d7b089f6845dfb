package io.github.lightning4j.minimax.text;

import java.util.ArrayList;
import java.util.List;

/**
 * The parts of a generated answer: what it says, what it thought, what it asks to be called.
 *
 * <p>Calls stand one JSON object a line between {@code <tool_calls>} and {@code </tool_calls>};
 * thoughts between {@code <think>} and {@code </think>}, where calls do not count. A block that is
 * cut off by the end of the text reaches to the end. A line that is no call is reported in {@link
 * #malformed} and the others are still read.
 *
 * @param text what is outside of all blocks, without blank at its ends
 * @param thinking the thoughts, without blank at their ends; several are joined by line breaks
 * @param calls the calls, in their order
 * @param malformed lines in a block of calls that are none
 */
public record ToolCalls(
    String text, String thinking, List<ToolCall> calls, List<Malformed> malformed) {

  /**
   * A line that should be a call and is not.
   *
   * @param line its number in the generated text, from 1
   * @param text the line
   * @param reason what is wrong
   */
  public record Malformed(int line, String text, String reason) {}

  /**
   * Copies the lists.
   *
   * @param text what is outside of all blocks
   * @param thinking the thoughts
   * @param calls the calls
   * @param malformed lines that are no calls
   */
  public ToolCalls {
    calls = List.copyOf(calls);
    malformed = List.copyOf(malformed);
  }

  /**
   * Takes an answer apart. Never fails, whatever the model wrote.
   *
   * @param generated the answer, without special tokens
   * @return its parts
   */
  public static ToolCalls parse(String generated) {
    StringBuilder text = new StringBuilder();
    List<String> thoughts = new ArrayList<>();
    ToolCallLines lines = new ToolCallLines();
    int position = 0;
    while (position < generated.length()) {
      Block block = Block.next(generated, position);
      text.append(generated, position, block.open());
      if (block.tag().equals(Block.THINK)) {
        thoughts.add(block.content(generated).strip());
      } else if (block.tag().equals(Block.CALLS)) {
        lines.read(block.content(generated), lineAt(generated, block.start()));
      }
      position = block.after();
    }
    return new ToolCalls(
        text.toString().strip(), String.join("\n", thoughts), lines.calls(), lines.malformed());
  }

  private static int lineAt(String text, int position) {
    return 1 + (int) text.substring(0, position).chars().filter(c -> c == '\n').count();
  }

  /** A tagged stretch: where its tag opens, its content starts and ends, and text goes on. */
  private record Block(String tag, int open, int start, int end, int after) {
    static final String THINK = "think>";
    static final String CALLS = "tool_calls>";

    /** The first block from a position on; one without tag or content where there is none. */
    static Block next(String text, int from) {
      int think = text.indexOf("<" + THINK, from);
      int calls = text.indexOf("<" + CALLS, from);
      if (think < 0 && calls < 0) {
        return new Block("", text.length(), text.length(), text.length(), text.length());
      }
      boolean first = calls < 0 || think >= 0 && think < calls;
      String tag = first ? THINK : CALLS;
      int open = first ? think : calls;
      int start = open + 1 + tag.length();
      int end = text.indexOf("</" + tag, start);
      return end < 0
          ? new Block(tag, open, start, text.length(), text.length())
          : new Block(tag, open, start, end, end + 2 + tag.length());
    }

    String content(String text) {
      return text.substring(start, end);
    }
  }
}
