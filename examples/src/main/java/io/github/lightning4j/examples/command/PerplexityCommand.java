package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax perplexity}: how well a model expects a text. */
@Command(
    name = "perplexity",
    sortOptions = false,
    description = {
      "Tell how well the model expects a text.",
      "The text is cut into windows of W tokens; exp of the mean negative log-likelihood of every"
          + " token but the first of its window. A last window of one token is dropped."
    })
final class PerplexityCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private DeviceOptions device = new DeviceOptions();

  @Mixin private CacheOptions caches = new CacheOptions();

  @Option(names = "--text", paramLabel = "FILE", required = true, description = "UTF-8 text.")
  private Path file = Path.of("");

  @Option(
      names = "--window",
      paramLabel = "W",
      defaultValue = "512",
      description = "Tokens a window, at most the context (${DEFAULT-VALUE}).")
  private int window;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  PerplexityCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    checkArgument(window >= 2, "--window: expected >= 2, got %s", window);
    model.on(device.find());
    String text = InputFile.text("--text", file);
    Console to = console.unwatched(json);
    try (TextModel open = TextModel.open(model, caches.format(to, model.device()), to);
        ProgressLine bar = new ProgressLine("Reading the text", to.terminal())) {
      int context = open.model().config().maxPositions();
      checkArgument(
          window <= context, "--window: expected <= %s (the context), got %s", context, window);
      int[] ids = open.encode("--text", text);
      checkArgument(ids.length >= 2, "--text: expected two tokens or more, got %s", ids.length);
      NegativeLogLikelihood sum = NegativeLogLikelihood.of(open.model(), ids, window, bar);
      report(sum.perplexity(), sum.tokens());
    }
  }

  private void report(double perplexity, long tokens) {
    if (json) {
      console.json(
          JsonNodeFactory.instance
              .objectNode()
              .put("perplexity", perplexity)
              .put("tokens", tokens));
    } else {
      console.out().printf(Locale.ROOT, "perplexity %.4f over %,d tokens%n", perplexity, tokens);
    }
  }
}
