package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** minimax-nano with eyes: its own weights, and those that {@code captions/export.py} wrote. */
final class CaptionCheckpoint {
  /** Where these lie, with pictures that were held out. */
  static final Path FOLDER = Repository.ROOT.resolve("examples/src/test/resources/captions");

  private static final String TEXT = "language_model.";

  private CaptionCheckpoint() {}

  /** The pictures that were held out, with what they show. */
  static List<CaptionedPicture> pictures() {
    return CaptionedPicture.read(FOLDER.resolve("pictures"), FOLDER.resolve("captions.tsv"));
  }

  /** Writes the whole of it to a folder, in the layout of MiniMax-VL-01. */
  static Path write(Path to) throws IOException {
    for (String name : new String[] {"config.json", "preprocessor_config.json"}) {
      Files.copy(FOLDER.resolve(name), to.resolve(name));
    }
    for (String name : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
      Files.copy(Repository.NANO.resolve(name), to.resolve(name));
    }
    try (SafetensorsFile text = SafetensorsFile.open(Repository.NANO.resolve("model.safetensors"));
        SafetensorsFile trained = SafetensorsFile.open(FOLDER.resolve("vision.safetensors"))) {
      Map<String, Tensor> tensors = new TreeMap<>();
      text.names().forEach(name -> tensors.put(TEXT + name, text.tensor(name)));
      trained.names().forEach(name -> tensors.put(name, trained.tensor(name)));
      SafetensorsWriter.write(to.resolve("model.safetensors"), tensors, Map.of());
    }
    return to;
  }
}
