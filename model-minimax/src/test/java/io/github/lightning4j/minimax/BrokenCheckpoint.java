package io.github.lightning4j.minimax;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;

/** Copies of a small checkpoint with one thing wrong. */
final class BrokenCheckpoint {
  private static final Path SOURCE = ModelFixture.root().resolve("small_qkv_eps/hf");

  private BrokenCheckpoint() {}

  /** With the text of its config changed. */
  static Path config(Path folder, String from, String to) {
    try {
      Files.createDirectories(folder);
      String config = Files.readString(SOURCE.resolve("config.json"));
      if (!config.contains(from)) {
        throw new IllegalArgumentException("config has no " + from);
      }
      Files.writeString(folder.resolve("config.json"), config.replace(from, to));
      Files.copy(SOURCE.resolve("model.safetensors"), folder.resolve("model.safetensors"));
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** With its tensors changed. */
  static Path tensors(Path folder, BiConsumer<MemoryScope, Map<String, Tensor>> change) {
    return tensors(SOURCE, folder, change);
  }

  /** Another one with its tensors changed. */
  static Path tensors(
      Path original, Path folder, BiConsumer<MemoryScope, Map<String, Tensor>> change) {
    try (SafetensorsFile source = SafetensorsFile.open(original.resolve("model.safetensors"));
        MemoryScope scope = new MemoryScope()) {
      Files.createDirectories(folder);
      Files.copy(original.resolve("config.json"), folder.resolve("config.json"));
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      source.names().forEach(name -> tensors.put(name, source.tensor(name)));
      change.accept(scope, tensors);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A copy of a tensor with one element changed. */
  static Tensor with(MemoryScope scope, Tensor tensor, long index, double value) {
    Tensor copy = scope.allocate(DType.F32, tensor.shape());
    copy.copyFrom(tensor);
    copy.accessor().set(index, value);
    return copy;
  }
}
