package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code minimax logits}, against what independent implementations computed. */
final class LogitsCommandTest {
  private static final int[] CHUNKS = {1, 7, 64};

  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "alt_gqa_b32, hf",
    "alt_gqa_b32, hf_fused",
    "alt_gqa_b32, orig",
    "e32_block256_tied, hf",
    "e32_block256_tied, orig",
    "heads6_nonpow2, hf",
    "heads6_nonpow2, orig",
    "hybrid7to1_alpha, hf",
    "hybrid7to1_alpha, orig",
    "orig_prenorm_shared, orig",
    "partial_rope_orig, orig",
    "small_qkv_eps, hf",
    "small_qkv_eps, orig"
  })
  void everyCaseAgreesWithItsReferenceInAllLayoutsAndChunks(String name, String layout) {
    Path fixture = Repository.fixture(name);
    Path model = fixture.resolve(layout);
    // Where transformers know the model, the original code, whose slopes differ, has a file of its
    // own; elsewhere it is the reference.
    boolean own = layout.equals("orig") && Files.isDirectory(fixture.resolve("hf"));
    try (SafetensorsFile expected = open(own ? model : fixture)) {
      List<String> inputs =
          expected.names().stream().filter(tensor -> tensor.matches("s\\d+\\.input_ids")).toList();
      assertThat(inputs).hasSizeGreaterThanOrEqualTo(3);
      double tolerance = tolerance(fixture, own ? "orig.logits" : "logits");
      for (String input : inputs) {
        checkRow(model, expected, input.substring(0, input.indexOf('.')), tolerance);
      }
      if (!own) {
        checkPaddedBatch(model, expected, tolerance(fixture, "pad.logits"));
      }
    }
  }

  private void checkRow(Path model, SafetensorsFile expected, String row, double tolerance) {
    Path input = row(expected.tensor(row + ".input_ids"));
    double[] truth = expected.tensor(row + ".logits").toDoubles();
    long[] positions = expected.tensor(row + ".positions").toLongs();
    int vocabulary = truth.length / positions.length;
    for (double[] logits : inAllChunks(model, input)) {
      double[] known =
          LongStream.of(positions)
              .mapToObj(position -> slice(logits, (int) position, vocabulary))
              .flatMapToDouble(DoubleStream::of)
              .toArray();
      assertClose(known, truth, tolerance);
    }
  }

  private void checkPaddedBatch(Path model, SafetensorsFile expected, double tolerance) {
    Tensor mask = expected.tensor("pad.attention_mask");
    Path input = temp.resolve("pad.safetensors");
    SafetensorsWriter.write(
        input,
        Map.of("input_ids", expected.tensor("pad.input_ids"), "attention_mask", mask),
        Map.of());
    double[] truth = expected.tensor("pad.logits").toDoubles();
    blank(truth, mask.toLongs());
    for (double[] logits : inAllChunks(model, input)) {
      assertClose(logits, truth, tolerance);
    }
  }

  private List<double[]> inAllChunks(Path model, Path input) {
    List<double[]> all = new ArrayList<>();
    all.add(logits(model, input));
    for (int chunk : CHUNKS) {
      all.add(logits(model, input, "--chunk", chunk));
    }
    return all;
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
          assertClose(
              written.tensor("hidden." + layer).toDoubles(), truth, tolerance(fixture, "hidden"));
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
      assertClose(slice(actual, places[i], vocabulary), slice(expected, i, vocabulary), 1e-3);
    }
    assertThat(slice(actual, 1, vocabulary)).containsOnly(0);
    assertThat(slice(actual, 4, vocabulary)).containsOnly(0);
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

  /** How closely a case asks for a kind of tensor, absolutely. */
  private static double tolerance(Path fixture, String kind) {
    JsonNode noise = Repository.json(fixture.resolve("README.json")).get("noise");
    return noise.get(kind).get("recommended_atol").asDouble();
  }

  private static void assertClose(double[] actual, double[] expected, double tolerance) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      assertThat(Math.abs(actual[i] - expected[i]))
          .as("element %s: %s, expected %s", i, actual[i], expected[i])
          .isLessThanOrEqualTo(tolerance);
    }
  }
}
