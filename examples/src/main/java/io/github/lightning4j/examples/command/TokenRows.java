package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A batch of token rows from a file: {@code input_ids [B, T]}, and {@code attention_mask [B, T]}
 * where present, which is 0 at pads.
 *
 * @param batch B
 * @param length T
 * @param runs stretches of real tokens, row by row, left to right
 */
record TokenRows(int batch, int length, List<Run> runs) {
  private static final String IDS = "input_ids";
  private static final String MASK = "attention_mask";

  /**
   * Tokens without pads between them.
   *
   * @param row which row
   * @param from the place of the first
   * @param ids the tokens
   */
  record Run(int row, int from, int[] ids) {}

  /**
   * Reads and checks a file.
   *
   * @param vocabulary the number of ids there are
   * @throws CheckpointException if it is broken, or is no such batch
   * @throws IllegalArgumentException if there is no row, or one without tokens
   */
  static TokenRows read(Path file, int vocabulary) {
    try (SafetensorsFile source = SafetensorsFile.open(file)) {
      Tensor ids = tensor(file, source, IDS);
      Tensor mask = source.names().contains(MASK) ? tensor(file, source, MASK) : null;
      if (mask != null && !Arrays.equals(mask.shape(), ids.shape())) {
        throw new CheckpointException(
            file,
            MASK
                + ": expected shape "
                + Arrays.toString(ids.shape())
                + " as "
                + IDS
                + ", got "
                + Arrays.toString(mask.shape()));
      }
      checkSize(file, ids);
      int batch = (int) ids.size(0);
      int length = (int) ids.size(1);
      List<Run> runs = new ArrayList<>();
      for (int row = 0; row < batch; row++) {
        long[] values = ids.select(0, row).toLongs();
        long[] real = mask == null ? ones(length) : mask.select(0, row).toLongs();
        addRuns(file, vocabulary, row, values, real, runs);
      }
      return new TokenRows(batch, length, runs);
    }
  }

  private static void checkSize(Path file, Tensor ids) {
    String shape = Arrays.toString(ids.shape());
    checkArgument(ids.size(0) > 0, "%s: %s: expected a row or more, got %s", file, IDS, shape);
    checkArgument(
        ids.size(1) > 0, "%s: %s[0]: expected a token or more, got %s: empty", file, IDS, shape);
    checkArgument(
        ids.elements() <= Integer.MAX_VALUE,
        "%s: %s: expected at most %s tokens, got %s",
        file,
        IDS,
        Integer.MAX_VALUE,
        shape);
  }

  private static void addRuns(
      Path file, int vocabulary, int row, long[] values, long[] real, List<Run> runs) {
    checkArgument(
        Arrays.stream(real).anyMatch(value -> value != 0),
        "%s: %s[%s]: expected a 1 or more, got only 0: an empty prompt",
        file,
        MASK,
        row);
    int from = 0;
    while (from < real.length) {
      int to = from;
      while (to < real.length && real[to] != 0) {
        check(file, vocabulary, row, to, values[to]);
        to++;
      }
      if (to > from) {
        int[] ids = Arrays.stream(values, from, to).mapToInt(Math::toIntExact).toArray();
        runs.add(new Run(row, from, ids));
      }
      from = to + 1;
    }
  }

  private static void check(Path file, int vocabulary, int row, int place, long id) {
    if (id < 0 || id >= vocabulary) {
      throw new CheckpointException(
          file,
          String.format(
              "%s[%d, %d]: expected 0 <= id < %d (the vocabulary), got %d",
              IDS, row, place, vocabulary, id));
    }
  }

  private static Tensor tensor(Path file, SafetensorsFile source, String name) {
    Tensor tensor = source.tensor(name);
    if (tensor.rank() != 2 || tensor.dtype().isFloating()) {
      throw new CheckpointException(
          file, name + ": expected whole numbers of shape [B, T], got " + tensor);
    }
    return tensor;
  }

  private static long[] ones(int count) {
    long[] ones = new long[count];
    Arrays.fill(ones, 1);
    return ones;
  }
}
