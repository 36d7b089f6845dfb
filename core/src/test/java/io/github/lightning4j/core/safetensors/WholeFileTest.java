package io.github.lightning4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.CoreKernels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class WholeFileTest extends FileMappingContract {
  @BeforeEach
  void needsNativeLibrary() {
    Assumptions.assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  @Override
  FileMapping.Mapper mapper() {
    return WholeFile::map;
  }

  @Override
  FileMapping.Mapper realMapper() {
    return mapper();
  }

  @Test
  void unmapsAtOnceOnClosing() throws IOException {
    Path file = folder.resolve("unmapped.safetensors");
    try (Tensor tensor = Tensor.allocate(DType.F32, 5000)) {
      SafetensorsWriter.write(file, Map.of("a", tensor), Map.of());
    }
    SafetensorsFile read = SafetensorsFile.open(file, mapper());
    assertThat(Files.readString(Path.of("/proc/self/maps"))).contains(file.toString());
    read.close();
    assertThat(Files.readString(Path.of("/proc/self/maps"))).doesNotContain(file.toString());
  }
}
