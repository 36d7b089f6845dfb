package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A checkpoint folder whose safetensors file holds quantized weights.
 *
 * <p>The tensors have the names of the released layout. A quantized matrix is a U8 tensor, its
 * {@linkplain io.github.lightning4j.core.quant.QuantizedMatrix#image image}; all others are plain.
 * The metadata tell the version of this layout and the {@link WeightFormats}; shapes come from the
 * config.
 */
final class QuantizedCheckpoint {
  private static final String VERSION_KEY = "lightning4j.version";
  private static final String WEIGHTS_KEY = "lightning4j.weights";
  private static final String VERSION = "1";
  private static final String WEIGHTS = "model.safetensors";

  /** What goes along with the weights, where it is there. */
  private static final List<String> COMPANIONS =
      List.of(
          "config.json",
          "generation_config.json",
          "preprocessor_config.json",
          "processor_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json",
          "vocab.json",
          "merges.txt",
          "chat_template.jinja",
          "chat_template.json");

  private QuantizedCheckpoint() {}

  /**
   * The formats of a checkpoint; empty if it is not one of these.
   *
   * @throws CheckpointException if it is of another version, or does not tell its formats
   */
  static Optional<WeightFormats> formats(Safetensors source) {
    String version = source.metadata().get(VERSION_KEY);
    if (version == null) {
      return Optional.empty();
    }
    if (!version.equals(VERSION)) {
      throw new CheckpointException(
          source.path(),
          "expected quantized weights of version "
              + VERSION
              + ", got version "
              + version
              + "; quantize the original again with this program");
    }
    try {
      return Optional.of(WeightFormats.parse(source.metadata().getOrDefault(WEIGHTS_KEY, "")));
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(
          source.path(), "metadata " + WEIGHTS_KEY + ": " + e.getMessage(), e);
    }
  }

  /** Refuses a folder that holds something. */
  static void checkNew(Path to) {
    try {
      checkArgument(
          !Files.exists(to) || isEmptyFolder(to),
          "out: expected a new or an empty folder, got %s",
          to);
    } catch (IOException e) {
      throw new UncheckedIOException(to + ": cannot be read (" + e + ")", e);
    }
  }

  /**
   * Writes a checkpoint folder. What fails leaves none behind, or an empty one where it was there.
   *
   * @param from the folder that config and tokenizer are copied from
   * @param held the tensors
   * @param to a new folder, or an empty one
   */
  static void write(Path from, Map<String, Tensor> held, WeightFormats formats, Path to) {
    checkNew(to);
    boolean there = Files.exists(to);
    try {
      Files.createDirectories(to);
      Map<String, String> metadata = Map.of(VERSION_KEY, VERSION, WEIGHTS_KEY, formats.toString());
      SafetensorsWriter.write(to.resolve(WEIGHTS), held, metadata);
      for (String name : COMPANIONS) {
        if (Files.exists(from.resolve(name))) {
          Files.copy(from.resolve(name), to.resolve(name));
        }
      }
    } catch (IOException e) {
      empty(to, there);
      throw new UncheckedIOException(to + ": cannot be written (" + e + ")", e);
    } catch (RuntimeException | Error e) {
      empty(to, there);
      throw e;
    }
  }

  /** Takes away what {@link #write} may have written to a folder, and the folder if it is new. */
  private static void empty(Path folder, boolean stays) {
    folder.resolve(WEIGHTS).toFile().delete();
    COMPANIONS.forEach(name -> folder.resolve(name).toFile().delete());
    if (!stays) {
      folder.toFile().delete();
    }
  }

  private static boolean isEmptyFolder(Path path) throws IOException {
    if (!Files.isDirectory(path)) {
      return false;
    }
    try (Stream<Path> files = Files.list(path)) {
      return files.findAny().isEmpty();
    }
  }
}
