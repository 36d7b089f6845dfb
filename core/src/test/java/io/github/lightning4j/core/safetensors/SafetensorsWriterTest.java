package io.github.lightning4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class SafetensorsWriterTest {
  @TempDir Path folder;

  @Test
  void writesThroughALinkAndNotOverAFolder() throws IOException {
    try (Tensor tensor = Tensor.of(new float[] {1}, 1)) {
      Path real = Files.writeString(folder.resolve("real"), "old");
      Path link = Files.createSymbolicLink(folder.resolve("link"), real);
      SafetensorsWriter.write(link, Map.of("a", tensor), Map.of());
      assertThat(Files.isSymbolicLink(link)).isTrue();
      try (SafetensorsFile file = SafetensorsFile.open(real)) {
        assertThat(file.names()).containsExactly("a");
      }
      Path taken = Files.createDirectory(folder.resolve("taken"));
      assertThatThrownBy(() -> SafetensorsWriter.write(taken, Map.of("a", tensor), Map.of()))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessage(taken + ": cannot be written (it is there and not a regular file)");
      assertThat(taken).isEmptyDirectory();
    }
  }

  @Test
  void writesTheBytesThatTheFormatsOwnWriterDoes() throws IOException {
    // Expected bytes: the test of the format's own library.
    try (Tensor tensor = Tensor.of(new float[] {0, 1, 2, 3, 4, 5}, 1, 1, 2, 3)) {
      Path file = folder.resolve("x");
      SafetensorsWriter.write(file, Map.of("attn0", tensor), Map.of());
      ByteBuffer expected = ByteBuffer.allocate(8 + 72 + 24).order(ByteOrder.LITTLE_ENDIAN);
      String header =
          "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}       ";
      expected.putLong(72).put(header.getBytes(StandardCharsets.UTF_8));
      for (int i = 0; i < 6; i++) {
        expected.putFloat(i);
      }
      assertThat(Files.readAllBytes(file)).isEqualTo(expected.array());
    }
  }

  @Test
  void writesAnEmptyFileAsTheFormatsOwnWriterDoes() throws IOException {
    Path file = folder.resolve("x");
    SafetensorsWriter.write(file, Map.of(), Map.of());
    assertThat(Files.readAllBytes(file))
        .isEqualTo("\u0008\0\0\0\0\0\0\0{}      ".getBytes(StandardCharsets.ISO_8859_1));
  }

  @Test
  void alignsTensorsOfWholeCacheLinesToThem() {
    Path file = folder.resolve("x");
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      tensors.put("odd", scope.add(Cases.normal(1, DType.BF16, 3)));
      tensors.put("bytes", scope.allocate(DType.U8, 192));
      tensors.put("empty", scope.allocate(DType.U8, 0));
      tensors.put("wide", scope.add(Cases.normal(2, DType.F64, 3)));
      tensors.put("floats", scope.add(Cases.normal(3, DType.F32, 4, 16)));
      SafetensorsWriter.write(file, tensors, Map.of());
      try (SafetensorsFile written = SafetensorsFile.open(file)) {
        assertThat(written.info("bytes").begin() % 64).isZero();
        assertThat(written.info("floats").begin() % 64).isZero();
        assertThat(written.info("wide").begin() % 64).isZero();
        for (String name : List.of("odd", "wide", "floats")) {
          assertThat(written.tensor(name).toDoubles()).isEqualTo(tensors.get(name).toDoubles());
        }
      }
    }
  }

  @Test
  void alignsEveryTensorToItsElementsAndFollowsTheLayout() throws IOException {
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (DType dtype : DType.values()) {
        tensors.put("odd " + dtype, scope.add(Cases.normal(1, dtype, 3)));
        tensors.put("öäü\"\\ " + dtype, scope.add(Cases.normal(2, dtype, 1, 5)));
      }
      Path file = folder.resolve("x");
      SafetensorsWriter.write(file, tensors, Map.of("k", "v"));
      byte[] bytes = Files.readAllBytes(file);
      int length = Math.toIntExact(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
      assertThat(length % 8).isZero();
      JsonNode header = new JsonMapper().readTree(bytes, 8, length);
      assertThat(header.path("__metadata__").path("k").asText()).isEqualTo("v");
      long covered = 0;
      for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
        Tensor tensor = entry.getValue();
        JsonNode fields = header.path(entry.getKey());
        long begin = fields.path("data_offsets").path(0).asLong();
        assertThat(begin % tensor.dtype().bytes()).as(entry.getKey()).isZero();
        byte[] data = new byte[Math.toIntExact(tensor.elements() * tensor.dtype().bytes())];
        tensor.pointer().get(data);
        assertThat(bytes).as(entry.getKey()).containsSubsequence(data);
        assertThat(
                java.util.Arrays.copyOfRange(
                    bytes, (int) (8 + length + begin), (int) (8 + length + begin + data.length)))
            .as(entry.getKey())
            .isEqualTo(data);
        covered += data.length;
      }
      assertThat(8 + length + covered).isEqualTo(bytes.length);
    }
  }

  @ParameterizedTest
  @EnumSource
  void bringsBackEveryTypeBitForBit(DType dtype) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor random = scope.allocate(dtype, 4, 6);
      for (long i = 0; i < random.elements() * dtype.bytes(); i++) {
        byte bits = (byte) (dtype == DType.BOOL ? i % 2 : 31 * i + 7 ^ i >> 3);
        random.pointer().put(i, bits);
      }
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      tensors.put("whole", random);
      tensors.put("part", random.narrow(1, 1, 3));
      tensors.put("transposed", random.strided(0, new long[] {6, 4}, new long[] {1, 6}));
      tensors.put("repeated", random.strided(5, new long[] {2, 3}, new long[] {0, 1}));
      tensors.put("scalar", random.select(0, 1).select(0, 2));
      tensors.put("empty", random.narrow(0, 2, 0));
      Path file = folder.resolve("x");
      SafetensorsWriter.write(file, tensors, Map.of());
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertThat(read.names()).hasSize(6);
        tensors.forEach(
            (name, tensor) -> {
              assertThat(read.tensor(name).shape()).as(name).isEqualTo(tensor.shape());
              assertThat(bits(read.tensor(name))).as(name).isEqualTo(bits(tensor));
            });
      }
    }
  }

  /** The bytes of all elements in order, without any conversion. */
  private static byte[] bits(Tensor tensor) {
    int width = tensor.dtype().bytes();
    byte[] bits = new byte[Math.toIntExact(tensor.elements() * width)];
    long[] size = {1, 1};
    long[] stride = {0, 0};
    for (int dim = 0; dim < tensor.rank(); dim++) {
      size[dim + 2 - tensor.rank()] = tensor.size(dim);
      stride[dim + 2 - tensor.rank()] = tensor.stride(dim);
    }
    int at = 0;
    for (long i = 0; i < size[0]; i++) {
      for (long j = 0; j < size[1]; j++) {
        for (int b = 0; b < width; b++) {
          bits[at++] = tensor.pointer().get((i * stride[0] + j * stride[1]) * width + b);
        }
      }
    }
    return bits;
  }

  @Test
  void bringsBackAModelThatAnotherLibraryWrote() {
    Path model = Path.of(System.getProperty("lightning4j.repository"), "models/minimax-nano");
    Path again = folder.resolve("again.safetensors");
    try (Safetensors first = Safetensors.open(model)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      first.names().forEach(name -> tensors.put(name, first.tensor(name)));
      assertThat(tensors).containsKey("model.embed_tokens.weight").hasSizeGreaterThan(100);
      SafetensorsWriter.write(again, tensors, Map.of("format", "pt"));
      try (SafetensorsFile second = SafetensorsFile.open(again)) {
        assertThat(second.metadata()).isEqualTo(Map.of("format", "pt"));
        assertThat(second.names()).containsExactlyInAnyOrderElementsOf(tensors.keySet());
        for (String name : second.names()) {
          assertThat(second.info(name).type()).isEqualTo(first.info(name).type());
          assertThat(second.tensor(name).shape()).isEqualTo(first.tensor(name).shape());
          assertThat(second.tensor(name).pointer().asByteBuffer())
              .isEqualTo(first.tensor(name).pointer().asByteBuffer());
        }
      }
    }
  }

  @Test
  void replacesWhatWasThere() throws IOException {
    Path file = Files.writeString(folder.resolve("x"), "old");
    try (Tensor tensor = Tensor.of(new int[] {1}, 1)) {
      SafetensorsWriter.write(file, Map.of("a", tensor), Map.of());
    }
    try (SafetensorsFile read = SafetensorsFile.open(file)) {
      assertThat(read.tensor("a").toLongs()).containsExactly(1);
    }
    assertOnly("x");
  }

  @Test
  void leavesNothingHalfWrittenBehind() throws IOException {
    Files.writeString(folder.resolve("x"), "old");
    Tensor closed = Tensor.allocate(DType.F32, 4);
    closed.close();
    assertThatThrownBy(
            () -> SafetensorsWriter.write(folder.resolve("x"), Map.of("a", closed), Map.of()))
        .isInstanceOf(IllegalStateException.class);
    assertThat(folder.resolve("x")).hasContent("old");
    assertOnly("x");
    Path under = folder.resolve("x").resolve("y");
    assertThatThrownBy(() -> SafetensorsWriter.write(under, Map.of(), Map.of()))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining(under + ": cannot be written");
    Files.createDirectories(folder.resolve("full/inside"));
    assertThatThrownBy(() -> SafetensorsWriter.write(folder.resolve("full"), Map.of(), Map.of()))
        .isInstanceOf(UncheckedIOException.class);
    assertOnly("full", "x");
  }

  private void assertOnly(String... names) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.map(path -> path.getFileName().toString())).containsExactlyInAnyOrder(names);
    }
  }

  @Test
  void refusesTheReservedName() {
    try (Tensor tensor = Tensor.allocate(DType.F32, 1)) {
      assertThatThrownBy(
              () ->
                  SafetensorsWriter.write(
                      folder.resolve("x"), Map.of("__metadata__", tensor), Map.of()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("__metadata__");
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Tensor tensor = Tensor.allocate(DType.F32, 8, 8)) {
      long before = Memory.liveBytes();
      for (int i = 0; i < 50; i++) {
        SafetensorsWriter.write(
            folder.resolve("x"), Map.of("strided", tensor.narrow(1, 2, 3)), Map.of());
      }
      assertThat(Memory.liveBytes()).isEqualTo(before);
    }
  }
}
