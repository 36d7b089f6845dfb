package io.github.lightning4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What every way of mapping a file must do. */
abstract class FileMappingContract {
  @TempDir Path folder;

  abstract FileMapping.Mapper mapper();

  private SafetensorsFile open(Path file) {
    return SafetensorsFile.open(file, mapper());
  }

  /** Sizes below, at and above every window, and of no bytes at the end. */
  private static Map<String, Tensor> tensors(MemoryScope scope) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int i = 0; i < 60; i++) {
      tensors.put("u8." + i, scope.add(Cases.normal(i, DType.U8, 1 + i * 7 % 61)));
    }
    for (int size : new int[] {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 200, 1000}) {
      tensors.put("bf16." + size, scope.add(Cases.normal(size, DType.BF16, size)));
    }
    tensors.put("none", scope.allocate(DType.BOOL, 3, 0));
    return tensors;
  }

  @Test
  void givesEveryTensorWhereverItLies() {
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> written = tensors(scope);
      Path file = folder.resolve("x.safetensors");
      SafetensorsWriter.write(file, written, Map.of());
      long before = Memory.liveBytes();
      try (SafetensorsFile read = open(file)) {
        assertThat(read.names()).containsExactlyInAnyOrderElementsOf(written.keySet());
        written.forEach(
            (name, tensor) -> {
              Tensor again = read.tensor(name);
              assertThat(again.dtype()).isEqualTo(tensor.dtype());
              assertThat(again.shape()).isEqualTo(tensor.shape());
              assertThat(again.toLongs()).as(name).isEqualTo(tensor.toLongs());
              assertThat(read.tensor(name).address()).isEqualTo(again.address());
              read.release(name);
              assertThat(again.toLongs()).as("released").isEqualTo(tensor.toLongs());
            });
      }
      assertThat(Memory.liveBytes()).isEqualTo(before);
    }
  }

  /** The mapper as it is used, where {@link #mapper} is one with small windows. */
  abstract FileMapping.Mapper realMapper();

  @Test
  void reachesBeyondTwoGibibytes() throws IOException {
    long big = 2_040_109_465L; // 1.9 GiB: the second lies in no window of the JDK's mappings
    String header =
        "{"
            + RawFile.tensor("first", "U8", "[" + big + "]", 0, big)
            + ","
            + RawFile.tensor("second", "U8", "[" + big + "]", big, 2 * big)
            + ","
            + RawFile.tensor("last", "U8", "[4]", 2 * big, 2 * big + 4)
            + "}";
    Path file = RawFile.write(folder.resolve("sparse.safetensors"), header, 0);
    long data = Files.size(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      // Only these bytes take room on the disk.
      channel.write(ByteBuffer.wrap(new byte[] {7}), data + big - 1);
      channel.write(ByteBuffer.wrap(new byte[] {8}), data + 2 * big - 1);
      channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4}), data + 2 * big);
    }
    try (SafetensorsFile read = SafetensorsFile.open(file, realMapper())) {
      assertThat(read.tensor("first").accessor().getLong(big - 1)).isEqualTo(7);
      assertThat(read.tensor("second").accessor().getLong(big - 1)).isEqualTo(8);
      assertThat(read.tensor("second").accessor().getLong(0)).isZero();
      assertThat(read.tensor("last").toLongs()).containsExactly(1, 2, 3, 4);
    }
  }

  @Test
  void endsItsTensorsWhenClosed() {
    try (MemoryScope scope = new MemoryScope()) {
      Path file = folder.resolve("x.safetensors");
      SafetensorsWriter.write(file, tensors(scope), Map.of());
      SafetensorsFile read = open(file);
      Tensor tensor = read.tensor("bf16.1000");
      assertThatThrownBy(tensor::close).isInstanceOf(IllegalStateException.class);
      read.close();
      assertThatThrownBy(tensor::address).isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> read.tensor("bf16.1"))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("closed");
      assertThatThrownBy(read::close).isInstanceOf(IllegalStateException.class);
    }
  }
}
