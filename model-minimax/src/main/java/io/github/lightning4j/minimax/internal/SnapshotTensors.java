package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The tensors of a snapshot of a session.
 *
 * @param file where they are, for messages
 * @param source the open file
 */
public record SnapshotTensors(Path file, SafetensorsFile source) {
  /** What caches are called that quantize nothing, wherever they are. */
  public static final String EXACT = "exact";

  /** The name of a part of a layer. */
  public static String name(int layer, String part) {
    return "layer." + layer + "." + part;
  }

  /**
   * A tensor.
   *
   * @throws CheckpointException if there is none of the name
   */
  public Tensor tensor(String name) {
    if (!source.names().contains(name)) {
      throw new CheckpointException(file, "missing tensor " + name);
    }
    return source.tensor(name);
  }

  /**
   * A tensor of F32.
   *
   * @throws CheckpointException if there is none of the name, the type and the shape
   */
  public Tensor floats(String name, long... shape) {
    Tensor tensor = tensor(name);
    if (tensor.dtype() != DType.F32 || !Arrays.equals(tensor.shape(), shape)) {
      throw new CheckpointException(
          file, name + ": expected F32" + Arrays.toString(shape) + ", got " + tensor);
    }
    return tensor;
  }
}
