package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax caption-report}: what formats of key-value caches do to captions of pictures. */
@Command(
    name = "caption-report",
    sortOptions = false,
    description = {
      "Caption pictures with key-value caches of several formats: names right, by how many fewer than"
          + " with 16 bits, measured bits and bytes.",
      "A name is right at its own place in the caption only. Captions are greedy."
    })
final class CaptionReportCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Option(
      names = "--pictures",
      paramLabel = "DIR",
      required = true,
      description = "Folder of PNG or JPEG pictures.")
  private Path pictures = Path.of("");

  @Option(
      names = "--captions",
      paramLabel = "FILE.tsv",
      required = true,
      description = "What they show, a line each: file, tab, names with commas between.")
  private Path captions = Path.of("");

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      defaultValue = "<image>\nI see",
      description = "What to ask of a picture, which stands where this has <image>.")
  private String prompt = "";

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      defaultValue = ".",
      description = "Ends a caption, and is no part of it (${DEFAULT-VALUE}).")
  private String stop = "";

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      defaultValue = "80",
      description = "The longest caption (${DEFAULT-VALUE}).")
  private int most;

  @Option(
      names = "--recent",
      paramLabel = "N",
      defaultValue = "128",
      description =
          "Newest tokens that stay in 16 bits, where a format keeps any (${DEFAULT-VALUE}).")
  private int recent;

  @Option(
      names = "--kv-calibration",
      paramLabel = "FILE",
      description = "What minimax calibrate found for this model.")
  private Optional<Path> calibration = Optional.empty();

  @Option(names = "--json", description = "Print one JSON object, with all captions.")
  private boolean json;

  CaptionReportCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    checkArgument(most >= 1, "--max-new-tokens: expected >= 1, got %s", most);
    checkArgument(recent >= 0, "--recent: expected >= 0, got %s", recent);
    checkArgument(!stop.isEmpty(), "--stop: expected a text, got none");
    checkArgument(
        prompt.split(ImagePrompt.PLACEHOLDER, -1).length == 2,
        "--prompt: expected one %s, got '%s'",
        ImagePrompt.PLACEHOLDER,
        prompt);
    List<CaptionedPicture> shown = CaptionedPicture.read(pictures, captions);
    Console to = console.unwatched(json);
    try (TextModel open = TextModel.open(model, to)) {
      CaptionReport report = report(open, shown, to);
      if (json) {
        console.json(report.json());
      } else {
        report.print(console.out());
      }
    }
  }

  private CaptionReport report(TextModel open, List<CaptionedPicture> shown, Console to) {
    checkArgument(
        open.model().vision().isPresent(), "--model: %s reads text only", open.model().folder());
    checkArgument(open.tokenizer() != null, "--model: %s has no tokenizer", open.model().folder());
    List<KvCacheFormat> formats = CaptionReport.formats(recent, calibration);
    Captioner captioner = new Captioner(open.model(), open.tokenizer(), stop, most);
    try (ProgressLine bar = new ProgressLine("Captioning", to.terminal())) {
      return CaptionReport.of(open, captioner, shown, prompt, formats, bar);
    }
  }
}
