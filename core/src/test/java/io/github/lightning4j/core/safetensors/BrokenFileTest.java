package io.github.lightning4j.core.safetensors;

import static io.github.lightning4j.core.safetensors.RawFile.tensor;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each rule of the format, broken once. */
final class BrokenFileTest {
  @TempDir Path folder;

  private void refuses(Path file, String message) {
    assertThatThrownBy(() -> SafetensorsFile.open(file).close())
        .isInstanceOf(CheckpointException.class)
        .hasMessage(file + ": " + message);
  }

  private void refusesHeader(String header, int dataBytes, String message) throws IOException {
    refuses(RawFile.write(folder.resolve("bad.safetensors"), header, dataBytes), message);
  }

  @Test
  void missingFile() {
    Path file = folder.resolve("none.safetensors");
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("none.safetensors: cannot be read (java.nio.file.NoSuchFile");
  }

  @Test
  void shorterThanTheLength() throws IOException {
    Path file = Files.write(folder.resolve("x"), new byte[7]);
    refuses(file, "expected at least 8 bytes with the length of the header, got 7");
  }

  @Test
  void headerOfNoBytes() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), 0, new byte[0], 16);
    refuses(file, "header length at byte 0: expected 1 to 100000000, got 0");
  }

  @Test
  void negativeHeaderLength() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), -1, new byte[0], 16);
    refuses(file, "header length at byte 0: expected 1 to 100000000, got 18446744073709551615");
  }

  @Test
  void headerBeyondTheLimit() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), 100_000_001, new byte[0], 16);
    refuses(file, "header length at byte 0: expected 1 to 100000000, got 100000001");
  }

  @Test
  void headerBeyondTheFile() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), 3, "{}".getBytes(StandardCharsets.UTF_8), 0);
    refuses(
        file,
        "header length at byte 0: expected at most 2 in a file of 10 bytes, got 3;"
            + " the file is cut off or is no safetensors file");
  }

  @Test
  void headerThatIsNotUtf8() throws IOException {
    byte[] header = {'{', '"', (byte) 0xc3, '(', '"', '}'};
    Path file = RawFile.write(folder.resolve("x"), header.length, header, 0);
    refuses(file, "header at byte 10: not UTF-8");
  }

  @Test
  void headerThatIsNotJson() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), "{\"a\" 1}", 0);
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(CheckpointException.class)
        .hasMessageMatching("(?s).*x: header at byte \\d+: not JSON: .*");
  }

  @Test
  void headerThatIsCutOff() throws IOException {
    Path file = RawFile.write(folder.resolve("x"), "{\"a\":{\"dtype\":\"F32\"", 0);
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("not JSON: Unexpected end-of-input");
  }

  @Test
  void headerThatIsNoObject() throws IOException {
    refusesHeader("[1]", 0, "header at byte 8: expected '{', got byte 0x5b");
  }

  @Test
  void moreBehindTheHeader() throws IOException {
    refusesHeader("{} {}", 0, "header at byte 11: expected nothing behind the object, got {");
  }

  @Test
  void tensorTwice() throws IOException {
    String one = tensor("é", "U8", "[2]", 0, 2);
    String two = tensor("é", "U8", "[2]", 2, 4);
    refusesHeader(
        "{" + one + "," + two + "}",
        4,
        // 8 for the length, both entries are one byte longer than they have characters.
        "tensor 'é' at byte "
            + (8 + 1 + one.length() + 1 + 1 + two.length() + 1 - 1)
            + ": expected one entry of that name, got two");
  }

  @Test
  void fieldTwice() throws IOException {
    refusesHeader(
        "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\"}}",
        0,
        "tensor 'a': dtype at byte 35: expected one field of that name, got two");
  }

  @Test
  void metadataTwice() throws IOException {
    refusesHeader(
        "{\"__metadata__\":{},\"__metadata__\":{}}",
        0,
        "__metadata__ at byte 42: expected one entry of that name, got two");
  }

  @Test
  void metadataThatIsNotText() throws IOException {
    refusesHeader(
        "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ 'a' at byte 29: expected a string, got 1");
    refusesHeader(
        "{\"__metadata__\":[]}",
        0,
        "__metadata__ at byte 24: expected an object of strings, got [");
  }

  @Test
  void missingFields() throws IOException {
    refusesHeader(
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}",
        1,
        "tensor 'a' at byte 38: expected a field data_offsets, got none");
    refusesHeader(
        "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}",
        1,
        "tensor 'a' at byte 47: expected a field shape, got none");
    refusesHeader(
        "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}",
        1,
        "tensor 'a' at byte 46: expected a field dtype, got none");
  }

  @Test
  void fieldsOfTheWrongKind() throws IOException {
    refusesHeader("{\"a\":1}", 0, "tensor 'a' at byte 13: expected an object, got 1");
    refusesHeader(
        "{\"a\":{\"dtype\":1}}", 0, "tensor 'a': dtype at byte 22: expected a string, got 1");
    refusesHeader(
        "{\"a\":{\"shape\":\"1\"}}",
        0,
        "tensor 'a': shape at byte 22: expected an array of whole numbers, got 1");
    refusesHeader(
        "{\"a\":{\"shape\":[1.5]}}",
        0,
        "tensor 'a': shape at byte 23: expected whole numbers, got 1.5");
    refusesHeader(
        "{\"a\":{\"data_offsets\":[0]}}",
        0,
        "tensor 'a': data_offsets at byte 31: expected [begin, end] with begin <= end <= "
            + Long.MAX_VALUE / 2
            + ", got [0]");
  }

  @Test
  void unknownType() throws IOException {
    refusesHeader(
        "{" + tensor("a", "F4", "[2]", 0, 1) + "}",
        1,
        "tensor 'a': dtype at byte 22: expected one of [F64, F32, F16, BF16, I64, I32, I8, U8,"
            + " BOOL, F8_E4M3, F8_E5M2, I16, U16, U32, U64], got F4");
    assertThatThrownBy(
            () ->
                SafetensorsFile.open(
                    RawFile.write(
                        folder.resolve("x"), "{" + tensor("a", "f32", "[]", 0, 4) + "}", 4)))
        .hasMessageEndingWith("got f32");
  }

  @Test
  void negativeSize() throws IOException {
    refusesHeader(
        "{" + tensor("a", "U8", "[-1]", 0, 1) + "}",
        1,
        "tensor 'a': shape at byte 36: expected whole numbers from 0 to 2^63 - 1, got -1");
  }

  @Test
  void sizeBeyondALong() throws IOException {
    refusesHeader(
        "{" + tensor("a", "U8", "[9223372036854775808]", 0, 1) + "}",
        1,
        "tensor 'a': shape at byte 36: expected whole numbers from 0 to 2^63 - 1, got"
            + " 9223372036854775808");
  }

  @Test
  void beginBehindEnd() throws IOException {
    refusesHeader(
        "{" + tensor("a", "U8", "[1]", 2, 1) + "}",
        2,
        "tensor 'a': data_offsets at byte 58: expected [begin, end] with begin <= end <= "
            + Long.MAX_VALUE / 2
            + ", got [2, 1]");
  }
}
