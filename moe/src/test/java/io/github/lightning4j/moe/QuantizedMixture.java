package io.github.lightning4j.moe;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.RoundedRows;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** A mixture that runs with its experts quantized; its answers are those of the codes. */
final class QuantizedMixture extends Mixture {
  final QuantizedExpertWeights quantized;

  QuantizedMixture(
      int tokens, int hidden, int inner, int experts, int slots, DType dtype, QuantFormat format) {
    super(tokens, hidden, inner, experts, slots, dtype);
    quantized = scope.add(QuantizedExpertWeights.quantize(weights, format));
  }

  @Override
  float[] run(MixtureOfExperts experts, MoeWorkspace workspace) {
    experts.forward(x, quantized, index, weight, workspace, out);
    return out.toFloats();
  }

  @Override
  double[] truth() {
    return truth(x.toDoubles(), weight.toDoubles(), doubles());
  }

  /** The same with tokens and hidden rows rounded to integers. */
  double[] roundedTruth() {
    QuantFormat format = quantized.format();
    return truth(
        RoundedRows.of(x.toDoubles(), hidden, format),
        weight.toDoubles(),
        doubles(),
        row -> RoundedRows.of(row, inner, format));
  }

  private double[][][] doubles() {
    return new double[][][] {
      doubles(quantized::gate), doubles(quantized::up), doubles(quantized::down)
    };
  }

  private double[][] doubles(IntFunction<QuantizedMatrix> part) {
    return IntStream.range(0, experts)
        .mapToObj(
            e -> {
              QuantizedMatrix matrix = part.apply(e);
              try (Tensor back = Tensor.allocate(DType.F32, matrix.rows(), matrix.columns())) {
                matrix.dequantize(back);
                return back.toDoubles();
              }
            })
        .toArray(double[][]::new);
  }
}
