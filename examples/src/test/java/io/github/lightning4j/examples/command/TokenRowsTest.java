package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code minimax logits} refuses as its input. */
final class TokenRowsTest {
  private static final Path FIXTURE = Repository.fixture("alt_gqa_b32");

  @TempDir private Path temp;

  @Test
  void tokensThatAreNoTokens() {
    assertRefused(
        "input_ids[0, 1]: expected 0 <= id < 128 (the vocabulary), got 5000000000",
        rows(Map.of("input_ids", new long[][] {{1, 5_000_000_000L}})));
    assertRefused("got -1", rows(Map.of("input_ids", new long[][] {{-1}})));
  }

  @Test
  void rowsWithoutTokens() throws IOException {
    String noToken = "input_ids[0]: expected a token or more, got ";
    assertRefused("input_ids: expected a row or more, got [0, 5]", empty("[0,5]", 0));
    assertRefused(noToken + "[2, 0]", empty("[2,0]", 0));
    assertRefused(noToken + "[3000000000, 0]", empty("[3000000000,0]", 0));
    long[][] mask = {{0, 1, 0}, {0, 0, 0}};
    assertRefused(
        "attention_mask[1]: expected a 1 or more, got only 0: an empty prompt",
        rows(Map.of("input_ids", new long[2][3], "attention_mask", mask)));
  }

  @Test
  void moreTokensThanCanBeCounted() throws IOException {
    assertRefused("at most 2147483647 tokens", empty("[3000000000,1]", 3_000_000_000L));
  }

  @Test
  void fileWithoutTokens() {
    assertRefused("input_ids", FIXTURE.resolve("expected.safetensors"));
    assertRefused("nowhere", Path.of("nowhere"));
  }

  private void assertRefused(String says, Path input) {
    Path out = temp.resolve("out.safetensors");
    Path model = FIXTURE.resolve("hf");
    CommandRun.assertRefused(
        temp, says, "logits", "--model", model, "--input", input, "--out", out);
  }

  private Path rows(Map<String, long[][]> rows) {
    Path file = temp.resolve("rows.safetensors");
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new HashMap<>();
      rows.forEach(
          (name, values) -> {
            long[] flat = Arrays.stream(values).flatMapToLong(Arrays::stream).toArray();
            tensors.put(name, scope.add(Tensor.of(flat, values.length, values[0].length)));
          });
      SafetensorsWriter.write(file, tensors, Map.of());
    }
    return file;
  }

  /** A file of ids of one byte each, none of which takes room on a disk that knows holes. */
  private Path empty(String shape, long bytes) throws IOException {
    String header =
        "{\"input_ids\":{\"dtype\":\"U8\",\"shape\":%s,\"data_offsets\":[0,%d]}}"
            .formatted(shape, bytes);
    Path input = temp.resolve("holes.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(input.toFile(), "rw")) {
      file.setLength(0);
      file.writeLong(Long.reverseBytes(header.length()));
      file.writeBytes(header);
      file.setLength(file.getFilePointer() + bytes);
    }
    return input;
  }
}
