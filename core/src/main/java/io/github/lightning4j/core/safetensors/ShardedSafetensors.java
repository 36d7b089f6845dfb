package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * The shards of a folder as one; see {@link Safetensors} for what holds of their tensors.
 *
 * <p>All shards are opened and checked at once: each must be there and hold what the index says,
 * and no two may hold a tensor of the same name. Tensors that the index does not name are not seen.
 */
public final class ShardedSafetensors implements Safetensors {
  private final SafetensorsIndex index;
  private final Map<String, SafetensorsFile> fileOf;
  private final MemoryScope files;

  private ShardedSafetensors(
      SafetensorsIndex index, Map<String, SafetensorsFile> fileOf, MemoryScope files) {
    this.index = index;
    this.fileOf = fileOf;
    this.files = files;
  }

  /**
   * Opens a folder with an index.
   *
   * @throws CheckpointException if the index or a shard is missing or broken, or if they disagree
   */
  public static ShardedSafetensors open(Path folder) {
    SafetensorsIndex index = SafetensorsIndex.read(folder);
    MemoryScope files = new MemoryScope();
    try {
      Map<String, SafetensorsFile> opened = new LinkedHashMap<>();
      for (String shard : index.shards()) {
        opened.put(shard, files.add(open(index, shard)));
      }
      return new ShardedSafetensors(index, assigned(index, opened), files);
    } catch (RuntimeException | Error e) {
      files.close();
      throw e;
    }
  }

  private static SafetensorsFile open(SafetensorsIndex index, String shard) {
    Path file = index.folder().resolve(shard);
    if (!Files.exists(file)) {
      String tensor =
          index.names().stream()
              .filter(t -> shard.equals(index.shardOf().get(t)))
              .findFirst()
              .get();
      throw new CheckpointException(
          file,
          "expected a shard with '"
              + tensor
              + "' and others, got no file; "
              + index.missingShards().size()
              + " of "
              + index.shards().size()
              + " shards are missing");
    }
    return SafetensorsFile.open(file);
  }

  /** Gives each tensor its file, shard by shard in the order of the data. */
  private static Map<String, SafetensorsFile> assigned(
      SafetensorsIndex index, Map<String, SafetensorsFile> shards) {
    Map<String, SafetensorsFile> holder = new LinkedHashMap<>();
    for (SafetensorsFile file : shards.values()) {
      for (String name : file.names()) {
        SafetensorsFile other = holder.putIfAbsent(name, file);
        if (other != null) {
          throw new CheckpointException(
              file.path(), "tensor '" + name + "' is also in " + other.path().getFileName());
        }
      }
    }
    index
        .shardOf()
        .forEach(
            (name, shard) -> {
              if (holder.get(name) != shards.get(shard)) {
                throw new CheckpointException(
                    index.folder().resolve(shard),
                    "expected tensor '" + name + "' as the index says, got none of that name");
              }
            });
    holder.keySet().retainAll(index.names());
    return holder;
  }

  @Override
  public Path path() {
    return index.folder();
  }

  /** What the index says. */
  public SafetensorsIndex index() {
    return index;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(fileOf.keySet());
  }

  @Override
  public TensorInfo info(String name) {
    return holder(name).info(name);
  }

  @Override
  public Tensor tensor(String name) {
    return holder(name).tensor(name);
  }

  @Override
  public void release(String name) {
    holder(name).release(name);
  }

  /** That of all shards together; of a key in several, the text of the first. */
  @Override
  public Map<String, String> metadata() {
    Map<String, String> all = new LinkedHashMap<>();
    new LinkedHashSet<>(fileOf.values()).forEach(file -> file.metadata().forEach(all::putIfAbsent));
    return all;
  }

  private SafetensorsFile holder(String name) {
    SafetensorsFile file = fileOf.get(name);
    if (file == null) {
      throw new CheckpointException(
          path(), "no tensor '" + name + "' among the " + fileOf.size() + " it has");
    }
    return file;
  }

  @Override
  public void close() {
    files.close();
  }
}
