package io.github.lightning4j.core.safetensors;

final class WindowedFileTest extends FileMappingContract {
  /** Windows so small that most tensors cross a border, need an own mapping, or are read. */
  @Override
  FileMapping.Mapper mapper() {
    return (file, bytes) -> WindowedFile.map(file, bytes, 64, 128);
  }
}
