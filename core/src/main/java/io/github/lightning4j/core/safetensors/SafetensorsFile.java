package io.github.lightning4j.core.safetensors;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Set;

/**
 * One mapped safetensors file; see {@link Safetensors} for what holds of its tensors.
 *
 * <p>Opening reads the header and checks all of it against the size of the file: the length of the
 * header (at most 100 MB), UTF-8, JSON, unique names, known types, sizes that fit the shapes, data
 * that fills the file without holes or overlaps. Types of {@link StoredType} that {@code DType}
 * lacks do not keep a file from being opened; only asking for such a tensor fails. A type unknown
 * to {@code StoredType} does, since its size cannot be checked. Cost: linear in the header.
 */
public final class SafetensorsFile implements Safetensors {
  private final Path path;
  private final Header header;
  private final FileMapping mapping;

  private SafetensorsFile(Path path, Header header, FileMapping mapping) {
    this.path = path;
    this.header = header;
    this.mapping = mapping;
  }

  /**
   * Opens a file of the default file system.
   *
   * @throws CheckpointException if it cannot be read, or breaks a rule of the format
   */
  public static SafetensorsFile open(Path path) {
    return open(path, FileMapping::best);
  }

  static SafetensorsFile open(Path path, FileMapping.Mapper mapper) {
    checkArgument(
        path.getFileSystem().equals(FileSystems.getDefault()),
        "path: expected a path of the default file system, got %s",
        path);
    Header header = Header.read(path);
    return new SafetensorsFile(path, header, mapper.map(path, header.fileBytes()));
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(header.tensors().keySet());
  }

  @Override
  public Map<String, String> metadata() {
    return header.metadata();
  }

  @Override
  public TensorInfo info(String name) {
    TensorInfo info = header.tensors().get(name);
    if (info == null) {
      throw new CheckpointException(
          path, "no tensor '" + name + "' among the " + header.tensors().size() + " it has");
    }
    return info;
  }

  @Override
  public Tensor tensor(String name) {
    TensorInfo info = info(name);
    if (info.dtype() == null) {
      throw new CheckpointException(
          path, "tensor '" + name + "': elements of type " + info.type() + " are not supported");
    }
    return mapping.view(info);
  }

  @Override
  public void release(String name) {
    mapping.release(info(name));
  }

  @Override
  public void close() {
    mapping.close();
  }
}
