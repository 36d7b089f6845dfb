package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.GenerationListener;
import io.github.lightning4j.minimax.GenerationResult;
import io.github.lightning4j.minimax.text.ToolCall;
import java.util.List;
import java.util.Locale;

/**
 * Shows a generation while it goes on: text to standard output as soon as it is certain (ids, where
 * there is no tokenizer), a bar while a long prompt is read, and figures at the end.
 */
final class GenerationOutput implements GenerationListener, AutoCloseable {
  /** Prompts from this length on take long enough for a bar. */
  private static final int LONG_PROMPT = 2000;

  private final Console console;
  private final boolean silent;
  private final boolean text;
  private final ProgressLine bar;

  /**
   * Shows to a console.
   *
   * @param silent whether to show nothing, because the result will be printed at once
   * @param text whether text comes, not only ids
   */
  GenerationOutput(Console console, boolean silent, boolean text) {
    this.console = console;
    this.silent = silent;
    this.text = text;
    this.bar = new ProgressLine("Reading the prompt", console.terminal());
  }

  @Override
  public void onPrefill(long done, long total) {
    if (total > LONG_PROMPT) {
      bar.progress(done, total);
    }
  }

  @Override
  public void onToken(int id) {
    if (!text) {
      show(id + " ");
    }
  }

  @Override
  public void onText(String piece) {
    show(piece);
  }

  private void show(String piece) {
    if (!silent) {
      console.out().print(piece);
      console.out().flush();
    }
  }

  /** Ends the text and tells what came of it. */
  void finish(GenerationResult result, List<ToolCall> calls) {
    console.out().println();
    console.out().flush();
    calls.forEach(
        call -> console.err().println("tool call: " + call.name() + " " + call.argumentsJson()));
    console
        .err()
        .printf(
            Locale.ROOT,
            "%d prompt tokens at %.0f/s, %d new tokens at %.0f/s%n",
            result.promptTokens(),
            result.prefillTokensPerSecond(),
            result.ids().size(),
            result.decodeTokensPerSecond());
  }

  @Override
  public void close() {
    bar.close();
  }
}
