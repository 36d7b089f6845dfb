package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.minimax.MiniMaxModel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax logits}: what a model makes of token rows, for comparison with others. */
@Command(
    name = "logits",
    sortOptions = false,
    description = {
      "Compute the logits of every token of a batch.",
      "Reads input_ids [B, T] and, where present, attention_mask [B, T]; writes logits [B, T, V] as"
          + " F32. Pads (mask 0) are left out of their row and get zeros."
    })
final class LogitsCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Option(
      names = "--input",
      paramLabel = "FILE.safetensors",
      required = true,
      description = "The tokens.")
  private Path input = Path.of("");

  @Option(
      names = "--out",
      paramLabel = "FILE.safetensors",
      required = true,
      description = "Where the logits go.")
  private Path out = Path.of("");

  @Option(
      names = "--hidden",
      description =
          "Also write hidden.0 ... hidden.L [B, T, H]: the residual stream before each layer, and"
              + " before the final norm.")
  private boolean hidden;

  @Option(
      names = "--chunk",
      paramLabel = "N",
      description = "Tokens to read at once. Without it: all of a row.")
  private Optional<Integer> chunk = Optional.empty();

  LogitsCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    int size = chunk.orElse(Integer.MAX_VALUE);
    checkArgument(size >= 1, "--chunk: expected >= 1, got %s", size);
    try (MiniMaxModel open = model.load(console);
        MemoryScope scope = new MemoryScope()) {
      int vocabulary = open.config().vocabSize();
      TokenRows rows = TokenRows.read(input, vocabulary);
      Tensor logits = scope.allocate(DType.F32, rows.batch(), rows.length(), vocabulary);
      Map<String, Tensor> written = new LinkedHashMap<>();
      written.put("logits", logits);
      HiddenStates states =
          hidden ? HiddenStates.allocate(scope, open.config(), rows) : HiddenStates.none();
      new RowForward(open, size, logits, states).run(rows);
      states.addTo(written);
      SafetensorsWriter.write(out, written, Map.of());
      console.err().println("wrote " + written.size() + " tensors to " + out);
    }
  }
}
