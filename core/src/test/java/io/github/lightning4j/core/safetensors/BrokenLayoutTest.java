package io.github.lightning4j.core.safetensors;

import static io.github.lightning4j.core.safetensors.RawFile.tensor;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Each rule for the place of the data, broken once. */
final class BrokenLayoutTest {
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
  void shapeThatOverflows() throws IOException {
    String header = "{" + tensor("a", "F32", "[4294967296,2147483648]", 0, 4) + "}";
    int begin = 8 + header.length();
    refusesHeader(
        header,
        4,
        "tensor 'a' at bytes ["
            + begin
            + ", "
            + (begin + 4)
            + "): expected a shape of less than 2^63 bytes, got F32[4294967296, 2147483648]");
  }

  @Test
  void offsetsBeyondTheFile() throws IOException {
    String header = "{" + tensor("a", "U8", "[9]", 0, 9) + "}";
    int begin = 8 + header.length();
    refusesHeader(
        header,
        8,
        "tensor 'a' at bytes ["
            + begin
            + ", "
            + (begin + 9)
            + "): expected data up to byte "
            + (begin + 9)
            + ", got "
            + (begin + 8)
            + " bytes: it is cut off");
  }

  @Test
  void overlap() throws IOException {
    String header =
        "{" + tensor("a", "U8", "[4]", 0, 4) + "," + tensor("b", "U8", "[4]", 3, 7) + "}";
    int data = 8 + header.length();
    refusesHeader(
        header,
        7,
        "tensor 'b' at bytes ["
            + (data + 3)
            + ", "
            + (data + 7)
            + "): expected data from byte "
            + (data + 4)
            + " behind tensor 'a', got an overlap with it");
  }

  @Test
  void hole() throws IOException {
    String header =
        "{" + tensor("b", "U8", "[4]", 5, 9) + "," + tensor("a", "U8", "[4]", 0, 4) + "}";
    int data = 8 + header.length();
    refusesHeader(
        header,
        9,
        "tensor 'b' at bytes ["
            + (data + 5)
            + ", "
            + (data + 9)
            + "): expected data from byte "
            + (data + 4)
            + " behind tensor 'a', got a hole of 1 bytes");
  }

  @Test
  void bytesBehindTheData() throws IOException {
    String header = "{" + tensor("a", "U8", "[4]", 0, 4) + "}";
    int data = 8 + header.length();
    refusesHeader(
        header,
        5,
        "expected its end at byte " + (data + 4) + " behind tensor 'a', got " + (data + 5));
  }

  @Test
  void sizeThatDoesNotFitTheShape() throws IOException {
    String header = "{" + tensor("a", "BF16", "[2,3]", 0, 8) + "}";
    int data = 8 + header.length();
    refusesHeader(
        header,
        8,
        "tensor 'a' at bytes ["
            + data
            + ", "
            + (data + 8)
            + "): expected 12 bytes for BF16[2, 3], got 8 bytes");
  }
}
