package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The format's rules for the data section: the bytes of a tensor are what its type and shape need,
 * and the tensors fill the section from its first byte to the end of the file, without holes and
 * without overlaps.
 */
final class Layout {
  private Layout() {}

  /** Checks the rules and gives the tensors in the order of their data. */
  static Map<String, TensorInfo> inOrder(
      Path file, long fileBytes, long dataStart, Map<String, TensorInfo> tensors) {
    List<TensorInfo> sorted =
        tensors.values().stream()
            .sorted(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end))
            .toList();
    Map<String, TensorInfo> ordered = new LinkedHashMap<>(sorted.size() * 2);
    long at = dataStart;
    String before = "the header";
    for (TensorInfo tensor : sorted) {
      checkSize(file, tensor);
      checkBegin(file, tensor, at, before);
      if (tensor.end() > fileBytes) {
        throw fault(
            file, tensor, "data up to byte " + tensor.end(), fileBytes + " bytes: it is cut off");
      }
      at = tensor.end();
      before = "tensor '" + tensor.name() + "'";
      ordered.put(tensor.name(), tensor);
    }
    if (at != fileBytes) {
      throw new CheckpointException(
          file, "expected its end at byte " + at + " behind " + before + ", got " + fileBytes);
    }
    return ordered;
  }

  private static void checkSize(Path file, TensorInfo tensor) {
    long bytes = tensor.type().bytes();
    try {
      for (long size : tensor.shape()) {
        bytes = Math.multiplyExact(bytes, size);
      }
    } catch (ArithmeticException e) {
      throw fault(file, tensor, "a shape of less than 2^63 bytes", describe(tensor));
    }
    if (bytes != tensor.bytes()) {
      throw fault(
          file, tensor, bytes + " bytes for " + describe(tensor), tensor.bytes() + " bytes");
    }
  }

  private static void checkBegin(Path file, TensorInfo tensor, long at, String before) {
    if (tensor.begin() < at) {
      throw fault(file, tensor, "data from byte " + at + " behind " + before, "an overlap with it");
    }
    if (tensor.begin() > at) {
      throw fault(
          file,
          tensor,
          "data from byte " + at + " behind " + before,
          "a hole of " + (tensor.begin() - at) + " bytes");
    }
  }

  private static String describe(TensorInfo tensor) {
    return tensor.type() + Arrays.toString(tensor.shape());
  }

  private static CheckpointException fault(
      Path file, TensorInfo tensor, String expected, String got) {
    return new CheckpointException(
        file,
        "tensor '"
            + tensor.name()
            + "' at bytes ["
            + tensor.begin()
            + ", "
            + tensor.end()
            + "): expected "
            + expected
            + ", got "
            + got);
  }
}
