package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * Named tensors in one file or in the shards of a folder.
 *
 * <pre>{@code
 * try (Safetensors weights = Safetensors.open(Path.of("MiniMax-M1-80k"))) {
 *   Tensor embedding = weights.tensor("model.embed_tokens.weight");
 *   ...
 * }
 * }</pre>
 *
 * <p>Tensors are views of mapped files: they need no closing, end with this object, and are
 * read-only: operators refuse them as outputs. Reading one ends the process if somebody else has
 * shortened the file meanwhile. Their addresses have the alignment that the file gives them, at
 * times less than that of an element. Safe to share between threads.
 */
public interface Safetensors extends AutoCloseable {
  /**
   * Opens a {@code .safetensors} file, or a folder with {@code model.safetensors} or else {@code
   * model.safetensors.index.json} and its shards.
   *
   * @throws CheckpointException if there is nothing to open or something is wrong with it
   */
  static Safetensors open(Path path) {
    if (!Files.isDirectory(path)) {
      return SafetensorsFile.open(path);
    }
    Path single = path.resolve("model.safetensors");
    return Files.exists(single) ? SafetensorsFile.open(single) : ShardedSafetensors.open(path);
  }

  /** The file or folder. */
  Path path();

  /** The names of the tensors in the order of their data. */
  Set<String> names();

  /**
   * Type, shape and place of a tensor.
   *
   * @throws CheckpointException if there is no tensor of that name
   */
  TensorInfo info(String name);

  /**
   * A tensor as a view of the mapped file.
   *
   * @throws CheckpointException if there is no tensor of that name, or if {@link
   *     io.github.lightning4j.core.DType} lacks its type
   * @throws IllegalStateException if closed
   */
  Tensor tensor(String name);

  /**
   * Tells that a tensor will not be read soon: the process gives back the memory that its pages
   * take. It may be read again all the same.
   *
   * @throws CheckpointException if there is no tensor of that name
   * @throws IllegalStateException if closed
   */
  void release(String name);

  /** The free text under {@code __metadata__} of the files; empty if there is none. */
  Map<String, String> metadata();

  /**
   * Ends the mappings and with them all tensors.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  void close();
}
