package io.github.lightning4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.ChildJvm;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class WindowedFileTest extends FileMappingContract {
  /** Windows so small that most tensors cross a border, need an own mapping, or are read. */
  @Override
  FileMapping.Mapper mapper() {
    return (file, bytes) -> WindowedFile.map(file, bytes, 64, 128);
  }

  @Override
  FileMapping.Mapper realMapper() {
    return WindowedFile::map;
  }

  @Test
  void allocatesOnlyForTensorsBeyondAWindow() {
    Path file = folder.resolve("x.safetensors");
    try (Tensor small = Tensor.allocate(DType.U8, 128);
        Tensor big = Tensor.allocate(DType.U8, 129)) {
      SafetensorsWriter.write(file, Map.of("small", small, "big", big), Map.of());
    }
    long before = Memory.liveBytes();
    try (SafetensorsFile read = SafetensorsFile.open(file, mapper())) {
      read.tensor("small");
      assertThat(Memory.liveBytes()).isEqualTo(before);
      read.tensor("big");
      read.tensor("big");
      assertThat(Memory.liveBytes()).isEqualTo(before + 129);
    }
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void servesWhereThereIsNoNativeLibrary() {
    Path file = folder.resolve("x.safetensors");
    try (Tensor tensor = Tensor.of(new float[] {1, 2, 3}, 3)) {
      SafetensorsWriter.write(file, Map.of("a", tensor), Map.of());
    }
    ChildJvm.Result result =
        new ChildJvm()
            .with("lightning4j.reference", "true")
            .run(WindowedFileTest.class, file.toString());
    assertThat(result.output()).isEqualTo("WindowedFile [1, 2, 3]\n");
  }

  /** Reads, in a child. */
  public static void main(String[] arguments) {
    Path file = Path.of(arguments[0]);
    try (Safetensors read = Safetensors.open(file);
        FileMapping mapping = FileMapping.best(file, 8)) {
      System.out.println(
          mapping.getClass().getSimpleName()
              + " "
              + java.util.Arrays.toString(read.tensor("a").toLongs()));
    }
  }
}
