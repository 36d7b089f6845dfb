package io.github.lightning4j.core.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;

/**
 * What {@code model.safetensors.index.json} says: which shard holds which tensor. Reading it opens
 * no shard, so it works on a folder that has none of them yet.
 *
 * @param folder the folder of the index and its shards
 * @param shardOf the file name of the shard of each tensor, in the order of the index
 * @param totalBytes the bytes of all tensors, where the index tells; taken as told, not checked
 */
public record SafetensorsIndex(Path folder, Map<String, String> shardOf, OptionalLong totalBytes) {
  /** The name of the file. */
  public static final String FILE = "model.safetensors.index.json";

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** Keeps a copy of the map. */
  public SafetensorsIndex {
    shardOf = Collections.unmodifiableMap(new LinkedHashMap<>(shardOf));
  }

  /**
   * Reads the index of a folder.
   *
   * @throws CheckpointException if there is none, if it is not JSON, names a tensor twice, or if a
   *     shard is not the name of a file in the folder
   */
  public static SafetensorsIndex read(Path folder) {
    Path file = folder.resolve(FILE);
    JsonNode root;
    try {
      root = JSON.readTree(Files.readAllBytes(file));
    } catch (JsonProcessingException e) {
      throw new CheckpointException(
          file,
          "not JSON at byte " + e.getLocation().getByteOffset() + ": " + e.getOriginalMessage(),
          e);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read (" + e + ")", e);
    }
    JsonNode map = root.path("weight_map");
    if (!map.isObject()) {
      throw new CheckpointException(
          file, "expected an object 'weight_map', got " + map.getNodeType());
    }
    Map<String, String> shardOf = new LinkedHashMap<>();
    map.properties().forEach(e -> shardOf.put(e.getKey(), shard(file, e.getKey(), e.getValue())));
    return new SafetensorsIndex(folder, shardOf, totalBytes(file, root));
  }

  private static String shard(Path file, String tensor, JsonNode shard) {
    String name = shard.asText();
    boolean plain =
        shard.isTextual() && !name.isEmpty() && !name.startsWith(".") && !name.contains("/");
    if (!plain || name.contains("\\")) {
      throw new CheckpointException(
          file,
          "tensor '" + tensor + "': expected the name of a file beside the index, got " + shard);
    }
    return name;
  }

  private static OptionalLong totalBytes(Path file, JsonNode root) {
    JsonNode total = root.path("metadata").path("total_size");
    if (total.isMissingNode()) {
      return OptionalLong.empty();
    }
    // Some writers give a whole number as 1.0e12.
    if (!total.isNumber()
        || !total.canConvertToLong()
        || !total.canConvertToExactIntegral()
        || total.asLong() < 0) {
      throw new CheckpointException(
          file, "total_size: expected a whole number of bytes, got " + total);
    }
    return OptionalLong.of(total.asLong());
  }

  /** The names of all tensors, in the order of the index. */
  public Set<String> names() {
    return shardOf.keySet();
  }

  /** The file names of all shards, in the order of the index. */
  public List<String> shards() {
    return List.copyOf(new LinkedHashSet<>(shardOf.values()));
  }

  /** The shards that are not there. */
  public List<String> missingShards() {
    return shards().stream().filter(shard -> !Files.exists(folder.resolve(shard))).toList();
  }
}
