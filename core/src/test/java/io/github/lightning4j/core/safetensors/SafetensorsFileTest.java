package io.github.lightning4j.core.safetensors;

import static io.github.lightning4j.core.safetensors.RawFile.tensor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SafetensorsFileTest {
  @TempDir Path folder;

  private Path raw(String header, int dataBytes) throws IOException {
    return RawFile.write(folder.resolve("model.safetensors"), header, dataBytes);
  }

  @Test
  void readsBytesThatNoWriterOfOursMade() throws IOException {
    String header =
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + tensor("b", "I32", "[2,1]", 4, 12)
            + ","
            + tensor("scalar", "U8", "[]", 3, 4)
            + ","
            + "\"a\":{\"later\":{\"x\":[1]},\"data_offsets\":[0,3],\"shape\":[3],\"dtype\":\"I8\"}}  ";
    Path path = raw(header, 12);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertThat(file.path()).isEqualTo(path);
      assertThat(file.names()).containsExactly("a", "scalar", "b");
      assertThat(file.metadata()).isEqualTo(Map.of("format", "pt"));
      assertThat(file.tensor("a").toLongs()).containsExactly(0, 1, 2);
      assertThat(file.tensor("scalar").rank()).isZero();
      assertThat(file.tensor("scalar").toLongs()).containsExactly(3);
      assertThat(file.tensor("b").toLongs()).containsExactly(0x07060504, 0x0b0a0908);
      int data = 8 + header.length();
      TensorInfo info = file.info("b");
      assertThat(info)
          .isEqualTo(new TensorInfo("b", StoredType.I32, new long[] {2, 1}, data + 4, data + 12));
      assertThat(info.bytes()).isEqualTo(8);
      assertThat(info.elements()).isEqualTo(2);
      assertThat(info.dtype()).isEqualTo(DType.I32);
      assertThat(info).hasToString("b I32[2, 1] at [" + (data + 4) + ", " + (data + 12) + ")");
    }
  }

  @Test
  void holdsNoMemoryOfItsOwnOver10000Openings() throws IOException {
    Path path = raw("{" + tensor("a", "F32", "[2]", 0, 8) + "}", 8);
    long before = Memory.liveBytes();
    for (int i = 0; i < 10_000; i++) {
      try (SafetensorsFile file = SafetensorsFile.open(path)) {
        assertThat(file.tensor("a").elements()).isEqualTo(2);
      }
    }
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void listsTypesThatNoTensorHas() throws IOException {
    StringBuilder header = new StringBuilder("{");
    int at = 0;
    for (StoredType type : StoredType.values()) {
      header.append(at == 0 ? "" : ",");
      header.append(tensor(type.name(), type.name(), "[2]", at, at + 2 * type.bytes()));
      at += 2 * type.bytes();
    }
    try (SafetensorsFile file = SafetensorsFile.open(raw(header + "}", at))) {
      for (StoredType type : StoredType.values()) {
        TensorInfo info = file.info(type.name());
        assertThat(info.type()).isEqualTo(type);
        if (info.dtype() != null) {
          assertThat(file.tensor(type.name()).dtype().name()).isEqualTo(type.name());
        } else {
          assertThatThrownBy(() -> file.tensor(type.name()))
              .isInstanceOf(CheckpointException.class)
              .hasMessage(
                  "%s: tensor '%s': elements of type %s are not supported",
                  file.path(), type, type);
        }
      }
      assertThat(file.names()).hasSize(15);
    }
  }

  @Test
  void readsIntegersOfEveryWidthUnsignedWhereTheyAre() throws IOException {
    int bytes = 64;
    String header =
        "{"
            + tensor("pad", "U8", "[48]", 0, 48)
            + ","
            + tensor("u64", "U64", "[1]", 48, 56)
            + ","
            + tensor("u32", "U32", "[1]", 56, 60)
            + ","
            + tensor("u16", "U16", "[1]", 60, 62)
            + ","
            + tensor("i16", "I16", "[1]", 62, 64)
            + "}";
    Path path = raw(header, bytes);
    byte[] file = Files.readAllBytes(path);
    Arrays.fill(file, file.length - 16, file.length, (byte) 0xfe);
    Files.write(path, file);
    try (SafetensorsFile read = SafetensorsFile.open(path)) {
      assertThat(read.tensor("u64").toLongs()).containsExactly(0xfefefefefefefefeL);
      assertThat(read.tensor("u64").toDoubles()).containsExactly(0x1.fdfdfdfdfdfep63);
      assertThat(read.tensor("u32").toLongs()).containsExactly(0xfefefefeL);
      assertThat(read.tensor("u16").toLongs()).containsExactly(0xfefe);
      assertThat(read.tensor("i16").toLongs()).containsExactly((short) 0xfefe);
    }
  }

  @Test
  void onlyTypesWithoutATensorTypeAreListedOnly() {
    assertThat(Arrays.stream(StoredType.values()).filter(type -> type.dtype() == null))
        .containsExactly(StoredType.F8_E4M3, StoredType.F8_E5M2);
  }

  @Test
  void everyElementTypeIsStored() {
    for (DType dtype : DType.values()) {
      StoredType stored = StoredType.of(dtype.name());
      assertThat(stored).as(dtype.name()).isNotNull();
      assertThat(stored.dtype()).isEqualTo(dtype);
      assertThat(stored.bytes()).isEqualTo(dtype.bytes());
    }
  }

  @Test
  void namesWhatIsAskedForAndNotThere() throws IOException {
    try (SafetensorsFile file = SafetensorsFile.open(raw("{}", 0))) {
      assertThat(file.names()).isEmpty();
      assertThatThrownBy(() -> file.info("a"))
          .isInstanceOf(CheckpointException.class)
          .hasMessage("%s: no tensor 'a' among the 0 it has", file.path());
      assertThatThrownBy(() -> file.names().clear())
          .isInstanceOf(UnsupportedOperationException.class);
    }
  }

  @Test
  void readsAHeaderOf10000TensorsInOrder() throws IOException {
    StringBuilder header = new StringBuilder("{");
    for (int i = 9_999; i >= 0; i--) {
      String name = "model.layers." + i / 100 + ".block_sparse_moe.experts." + i % 100 + ".w1";
      header.append(tensor(name, "U8", "[1]", i, i + 1)).append(i == 0 ? "}" : ",");
    }
    try (SafetensorsFile file = SafetensorsFile.open(raw(header.toString(), 10_000))) {
      assertThat(file.names()).hasSize(10_000);
      assertThat(file.names()).first().isEqualTo("model.layers.0.block_sparse_moe.experts.0.w1");
      String name = "model.layers.12.block_sparse_moe.experts.34.w1";
      assertThat(file.tensor(name).toLongs()).containsExactly(1234 & 0xff);
    }
  }

  @Test
  void copiesItsShapes() {
    long[] shape = {1, 2};
    TensorInfo info = new TensorInfo("a", StoredType.U8, shape, 0, 2);
    shape[0] = 7;
    info.shape()[1] = 7;
    assertThat(info.shape()).containsExactly(1, 2);
    assertThat(info).isEqualTo(new TensorInfo("a", StoredType.U8, new long[] {1, 2}, 0, 2));
    assertThat(info)
        .hasSameHashCodeAs(new TensorInfo("a", StoredType.U8, new long[] {1, 2}, 0, 2))
        .isNotEqualTo(new TensorInfo("a", StoredType.U8, new long[] {2, 1}, 0, 2));
  }
}
