package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizationError;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.testkit.Cases;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * What each format costs an expert: relative root mean square errors of the weights, and of the
 * output for standard normal tokens. Holds them to the table of {@code docs/notes/moe.md}, and
 * writes that table to {@code target/quantization-errors.md}.
 */
final class QuantizationErrorTest {
  private static final Path MODEL = Path.of("../models/minimax-nano");
  private static final Path NOTES =
      Path.of(System.getProperty("lightning4j.repository"), "docs/notes/moe.md");
  private static final int LAYERS = 8;
  private static final int EXPERTS = 8;
  private static final int TOKENS = 16 * EXPERTS;

  /** Errors relative to what they are errors of. */
  private record Errors(double weights, double output) {}

  @Test
  void isWhatTheNotesSayAndGrowsWithTheGroup() throws IOException {
    Assumptions.assumeTrue(Files.isDirectory(MODEL), "no model at " + MODEL.toAbsolutePath());
    List<String> table = new ArrayList<>();
    table.add("| format | normal: weights | output | trained: weights | output |");
    table.add("| --- | --- | --- | --- | --- |");
    Map<String, double[]> measured = new LinkedHashMap<>();
    double last = 0;
    try (MemoryScope scope = new MemoryScope()) {
      List<ExpertWeights> random = List.of(randomExperts(scope));
      List<ExpertWeights> trained = trainedExperts(scope.add(Safetensors.open(MODEL)));
      for (QuantFormat format : QuantizedExpertsContract.formats()) {
        Errors normal = errors(random, format);
        Errors nano = errors(trained, format);
        table.add(row(format, normal, nano));
        measured.put(
            format.toString(),
            new double[] {normal.weights, normal.output, nano.weights, nano.output});
        if (format.bits() == 4) {
          assertThat(normal.weights).isGreaterThan(last);
          last = normal.weights;
        }
      }
    }
    Files.write(Path.of("target/quantization-errors.md"), table);
    List<String> notes = Files.readAllLines(NOTES);
    measured.forEach((format, errors) -> assertDocumented(notes, format, errors));
  }

  private static void assertDocumented(List<String> notes, String format, double[] errors) {
    String start = "| " + format + " |";
    String[] cells =
        notes.stream()
            .dropWhile(line -> !line.startsWith("| format | bits a weight | normal"))
            .filter(line -> line.startsWith(start))
            .findFirst()
            .orElseThrow()
            .split("\\|");
    for (int i = 0; i < errors.length; i++) { // behind format and bits a weight
      double documented = Double.parseDouble(cells[3 + i].replace('%', ' ').strip()) / 100;
      assertThat(errors[i])
          .as("%s, number %s of its row in %s", format, i + 1, NOTES)
          .isCloseTo(documented, withinPercentage(10));
    }
  }

  private static String row(QuantFormat format, Errors normal, Errors trained) {
    return String.format(
        Locale.ROOT,
        "| %s | %.2f %% | %.2f %% | %.2f %% | %.2f %% |",
        format,
        100 * normal.weights,
        100 * normal.output,
        100 * trained.weights,
        100 * trained.output);
  }

  private static ExpertWeights randomExperts(MemoryScope scope) {
    Tensor gateUp = scope.add(Cases.normal(1, DType.BF16, EXPERTS, 1024, 512));
    Tensor down = scope.add(Cases.normal(2, DType.BF16, EXPERTS, 512, 512));
    return ExpertWeights.ofFused(gateUp, down);
  }

  private static List<ExpertWeights> trainedExperts(Safetensors model) {
    return IntStream.range(0, LAYERS)
        .mapToObj(
            layer ->
                new ExpertWeights(
                    matrices(model, layer, "w1"),
                    matrices(model, layer, "w3"),
                    matrices(model, layer, "w2")))
        .toList();
  }

  private static List<Tensor> matrices(Safetensors model, int layer, String name) {
    return IntStream.range(0, EXPERTS)
        .mapToObj(e -> "model.layers." + layer + ".block_sparse_moe.experts." + e + "." + name)
        .map(path -> model.tensor(path + ".weight"))
        .toList();
  }

  private static Errors errors(List<ExpertWeights> layers, QuantFormat format) {
    QuantizationError weights = QuantizationError.NONE;
    double difference = 0;
    double norm = 0;
    for (ExpertWeights layer : layers) {
      try (QuantizedExpertWeights quantized = QuantizedExpertWeights.quantize(layer, format)) {
        double[] exact = answers(layer);
        double[] coded = answers(quantized);
        for (int i = 0; i < exact.length; i++) {
          difference += (exact[i] - coded[i]) * (exact[i] - coded[i]);
          norm += exact[i] * exact[i];
        }
        for (int e = 0; e < EXPERTS; e++) {
          weights = weights.plus(quantized.error(e));
        }
      }
    }
    return new Errors(weights.relativeRms(), Math.sqrt(difference / norm));
  }

  /** Sixteen tokens to each expert. */
  private static double[] answers(Experts weights) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(3, DType.F32, TOKENS, weights.hidden()));
      Tensor index = scope.allocate(DType.I32, TOKENS, 1);
      Tensor share = scope.allocate(DType.F32, TOKENS, 1);
      for (int t = 0; t < TOKENS; t++) {
        index.accessor().setLong(t, t % EXPERTS);
        share.accessor().set(t, 1);
      }
      Tensor out = scope.allocate(DType.F32, TOKENS, weights.hidden());
      MoeWorkspace workspace = scope.add(new MoeWorkspace());
      MixtureOfExperts.best().forward(x, weights, index, share, workspace, out);
      return out.toDoubles();
    }
  }
}
