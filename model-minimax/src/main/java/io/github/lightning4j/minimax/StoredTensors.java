package io.github.lightning4j.minimax;

import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsIndex;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The tensors of a checkpoint folder, told without reading any of them.
 *
 * @param names all names
 * @param bytes what they take; 0 if the index does not say and shards are missing
 * @param missingShards files that should be there and are not
 * @param coded the formats of a quantized checkpoint
 */
record StoredTensors(
    Set<String> names, long bytes, List<String> missingShards, Optional<WeightFormats> coded) {
  static StoredTensors of(Path folder) {
    Path index = folder.resolve(SafetensorsIndex.FILE);
    if (Files.exists(folder.resolve("model.safetensors")) || !Files.exists(index)) {
      return ofFiles(folder);
    }
    SafetensorsIndex told = SafetensorsIndex.read(folder);
    if (told.missingShards().isEmpty()) {
      return ofFiles(folder);
    }
    return new StoredTensors(
        told.names(), told.totalBytes().orElse(0), told.missingShards(), Optional.empty());
  }

  private static StoredTensors ofFiles(Path folder) {
    try (Safetensors files = Safetensors.open(folder)) {
      long bytes = files.names().stream().mapToLong(name -> files.info(name).bytes()).sum();
      return new StoredTensors(
          Set.copyOf(files.names()), bytes, List.of(), QuantizedCheckpoint.formats(files));
    }
  }
}
