package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code minimax logits}, against what independent implementations computed. */
final class LogitsCommandTest {
  private static final int[] CHUNKS = {1, 7, 64};

  @TempDir private Path temp;

  @ParameterizedTest
  @ValueSource(strings = {"alt_gqa_b32", "hybrid7to1_alpha", "small_qkv_eps"})
  void paddedBatchAgreesWithTheReferencesInAllChunks(String name) {
    Path fixture = Repository.fixture(name);
    try (SafetensorsFile expected = open(fixture)) {
      Tensor mask = expected.tensor("pad.attention_mask");
      Path input = temp.resolve("pad.safetensors");
      SafetensorsWriter.write(
          input,
          Map.of("input_ids", expected.tensor("pad.input_ids"), "attention_mask", mask),
          Map.of());
      double[] truth = expected.tensor("pad.logits").toDoubles();
      blank(truth, mask.toLongs());
      checkAllChunks(fixture.resolve("hf"), input, truth);
    }
  }

  @ParameterizedTest
  @CsvSource({"alt_gqa_b32, 70", "hybrid7to1_alpha, 100", "small_qkv_eps, 1"})
  void oneRowAgreesWithTheReferencesInAllChunks(String name, int length) {
    Path fixture = Repository.fixture(name);
    try (SafetensorsFile expected = open(fixture)) {
      Path input = row(expected.tensor("s" + length + ".input_ids"));
      checkAllChunks(
          fixture.resolve("hf"), input, expected.tensor("s" + length + ".logits").toDoubles());
    }
  }

  @Test
  void hiddenStatesAgreeWithTheReferences() {
    Path fixture = Repository.fixture("alt_gqa_b32");
    Path out = temp.resolve("out.safetensors");
    try (SafetensorsFile expected = open(fixture)) {
      Path input = row(expected.tensor("s33.input_ids"));
      CommandRun.done(
          "logits",
          "--model",
          fixture.resolve("hf"),
          "--input",
          input,
          "--out",
          out,
          "--hidden",
          "--chunk",
          10);
      try (SafetensorsFile written = SafetensorsFile.open(out)) {
        assertThat(written.names())
            .containsExactlyInAnyOrder(
                "logits", "hidden.0", "hidden.1", "hidden.2", "hidden.3", "hidden.4");
        for (int layer = 0; layer <= 4; layer++) {
          double[] truth = expected.tensor("s33.hidden." + layer).toDoubles();
          assertClose(written.tensor("hidden." + layer).toDoubles(), truth, 1e-3);
        }
      }
    }
  }

  @Test
  void padsInTheMiddleAndOnTheRightAreDroppedToo() {
    Path model = Repository.fixture("alt_gqa_b32").resolve("hf");
    Path plain = temp.resolve("plain.safetensors");
    Path holes = temp.resolve("holes.safetensors");
    try (MemoryScope scope = new MemoryScope()) {
      Tensor ids = scope.add(Tensor.of(new long[] {5, 99, 7, 8, 99}, 1, 5));
      Tensor mask = scope.add(Tensor.of(new long[] {1, 0, 1, 1, 0}, 1, 5));
      SafetensorsWriter.write(holes, Map.of("input_ids", ids, "attention_mask", mask), Map.of());
      Tensor real = scope.add(Tensor.of(new int[] {5, 7, 8}, 1, 3));
      SafetensorsWriter.write(plain, Map.of("input_ids", real), Map.of());
    }
    double[] expected = logits(model, plain);
    double[] actual = logits(model, holes);
    int vocabulary = expected.length / 3;
    int[] places = {0, 2, 3};
    for (int i = 0; i < places.length; i++) {
      assertClose(slice(actual, places[i], vocabulary), slice(expected, i, vocabulary), 1e-4);
    }
    assertThat(slice(actual, 1, vocabulary)).containsOnly(0);
    assertThat(slice(actual, 4, vocabulary)).containsOnly(0);
  }

  private void checkAllChunks(Path model, Path input, double[] truth) {
    double[] whole = logits(model, input);
    assertClose(whole, truth, 1e-3);
    for (int chunk : CHUNKS) {
      assertClose(logits(model, input, "--chunk", chunk), whole, 1e-4);
    }
  }

  private double[] logits(Path model, Path input, Object... more) {
    Path out = temp.resolve("out.safetensors");
    Object[] args = {"logits", "--model", model, "--input", input, "--out", out};
    Object[] all = Arrays.copyOf(args, args.length + more.length);
    System.arraycopy(more, 0, all, args.length, more.length);
    CommandRun.done(all);
    try (SafetensorsFile written = SafetensorsFile.open(out)) {
      assertThat(written.tensor("logits").dtype()).isEqualTo(DType.F32);
      return written.tensor("logits").toDoubles();
    }
  }

  private Path row(Tensor ids) {
    Path input = temp.resolve("row.safetensors");
    SafetensorsWriter.write(input, Map.of("input_ids", ids.reshape(1, ids.size(0))), Map.of());
    return input;
  }

  private static SafetensorsFile open(Path fixture) {
    return SafetensorsFile.open(fixture.resolve("expected.safetensors"));
  }

  /** References differ in what they give at pads; here it is zeros. */
  private static void blank(double[] logits, long[] mask) {
    int vocabulary = logits.length / mask.length;
    for (int i = 0; i < logits.length; i++) {
      logits[i] *= mask[i / vocabulary];
    }
  }

  private static double[] slice(double[] logits, int place, int vocabulary) {
    return Arrays.copyOfRange(logits, place * vocabulary, (place + 1) * vocabulary);
  }

  /** Within a part of the largest expected value. */
  private static void assertClose(double[] actual, double[] expected, double part) {
    assertThat(actual).hasSameSizeAs(expected);
    double scale = DoubleStream.of(expected).map(Math::abs).max().orElseThrow();
    for (int i = 0; i < expected.length; i++) {
      assertThat(Math.abs(actual[i] - expected[i]))
          .as("element %s: %s, expected %s", i, actual[i], expected[i])
          .isLessThanOrEqualTo(part * scale);
    }
  }
}
