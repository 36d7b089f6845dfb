package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gpu;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** A mixture on a GPU, its inputs on the host, and the reference's answer. */
final class CudaScene implements AutoCloseable {
  final Gpu gpu = new Gpu();
  final MemoryScope scope = new MemoryScope();
  final int tokens;
  final int hidden;
  final RouterOptions options;
  final Tensor x;
  final Tensor logits;
  final Experts experts;
  final CudaExpertWeights weights;
  final CudaMoeWorkspace workspace;
  final Tensor index;
  final Tensor weight;
  private final Map<Integer, double[][]> rounded = new HashMap<>();

  CudaScene(int tokens, int hidden, int inner, int experts, int k, @Nullable QuantFormat format) {
    this(tokens, hidden, inner, experts, RouterOptions.topK(k), format);
  }

  CudaScene(
      int tokens,
      int hidden,
      int inner,
      int experts,
      RouterOptions options,
      @Nullable QuantFormat format) {
    this.tokens = tokens;
    this.hidden = hidden;
    this.options = options;
    ExpertWeights plain =
        scope.add(new Mixture(0, hidden, inner, experts, options.k(), DType.BF16)).weights;
    this.experts =
        format == null ? plain : scope.add(QuantizedExpertWeights.quantize(plain, format));
    x = scope.add(Cases.normal(tokens + 1, DType.BF16, tokens, hidden));
    logits = scope.add(Cases.normal(tokens + 2, DType.F32, tokens, experts));
    index = scope.allocate(DType.I32, tokens, options.k());
    weight = scope.allocate(DType.F32, tokens, options.k());
    weights = scope.add(CudaExpertWeights.of(gpu.stream(), this.experts));
    workspace = scope.add(CudaMoeWorkspace.allocate(weights, Math.max(tokens, 1), options.k()));
  }

  /** Sends every token to an expert first of all. */
  CudaScene sendAllTo(int expert) {
    for (int t = 0; t < tokens; t++) {
      logits.accessor().set(t * logits.stride(0) + expert, 100);
    }
    return this;
  }

  /** The weights of the experts {@code [first, end)} alone. */
  CudaExpertWeights someWeights(int first, int end) {
    if (experts instanceof ExpertWeights plain) {
      return CudaExpertWeights.of(
          gpu.stream(),
          new ExpertWeights(
              plain.gate().subList(first, end),
              plain.up().subList(first, end),
              plain.down().subList(first, end)));
    }
    QuantizedExpertWeights quantized = (QuantizedExpertWeights) experts;
    return CudaExpertWeights.of(
        gpu.stream(),
        QuantizedExpertWeights.of(
            IntStream.range(first, end).mapToObj(quantized::gate).toList(),
            IntStream.range(first, end).mapToObj(quantized::up).toList(),
            IntStream.range(first, end).mapToObj(quantized::down).toList()));
  }

  /** A copy on the GPU. */
  Tensor up(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  /** Routing and mixture in double; leaves index and weight. */
  double[] expected(@Nullable Tensor bias) {
    Tensor wide = scope.allocate(DType.F32, tokens, hidden);
    wide.copyFrom(x);
    Tensor out = scope.allocate(DType.F32, tokens, hidden);
    Router.of(Backend.REFERENCE).route(logits, options, bias, index, weight);
    MoeWorkspace scratch = scope.add(new MoeWorkspace());
    MixtureOfExperts.of(Backend.REFERENCE).forward(wide, experts, index, weight, scratch, out);
    return out.toDoubles();
  }

  /**
   * The mixture in double with the roundings that the GPU states: weights of 8 and 4 bits and
   * hidden rows become bf16. Takes the routing that {@link #expected} left.
   */
  double[] rounded() {
    long[] chosen = index.toLongs();
    double[] shares = weight.toDoubles();
    double[] sum = new double[tokens * hidden];
    double[] in = x.toDoubles();
    for (int pair = 0; pair < chosen.length; pair++) {
      int token = pair / options.k();
      double[] row = Arrays.copyOfRange(in, token * hidden, (token + 1) * hidden);
      double[] gate = times(matrix(0, (int) chosen[pair]), row);
      double[] up = times(matrix(1, (int) chosen[pair]), row);
      for (int i = 0; i < gate.length; i++) {
        gate[i] = bf16(gate[i] / (1 + Math.exp(-gate[i])) * up[i]);
      }
      double[] answer = times(matrix(2, (int) chosen[pair]), gate);
      for (int h = 0; h < hidden; h++) {
        sum[token * hidden + h] += shares[pair] * answer[h];
      }
    }
    return sum;
  }

  /** W1, W3 or W2 of an expert, by rows. */
  private double[][] matrix(int which, int expert) {
    return rounded.computeIfAbsent(
        3 * expert + which,
        key -> {
          long rows = which == 2 ? hidden : experts.intermediate();
          double[][] matrix = new double[(int) rows][];
          for (int r = 0; r < rows; r++) {
            matrix[r] = Arrays.stream(row(which, expert, r)).map(CudaScene::bf16).toArray();
          }
          return matrix;
        });
  }

  private double[] row(int which, int expert, int row) {
    if (experts instanceof ExpertWeights plain) {
      List<Tensor> matrices = which == 0 ? plain.gate() : which == 1 ? plain.up() : plain.down();
      return matrices.get(expert).select(0, row).toDoubles();
    }
    QuantizedExpertWeights quantized = (QuantizedExpertWeights) experts;
    QuantizedMatrix matrix =
        which == 0
            ? quantized.gate(expert)
            : which == 1 ? quantized.up(expert) : quantized.down(expert);
    float[] values = matrix.row(row);
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  private static double bf16(double x) {
    return Bfloat16.toFloat(Bfloat16.fromFloat((float) x));
  }

  private static double[] times(double[][] matrix, double[] x) {
    double[] product = new double[matrix.length];
    for (int r = 0; r < product.length; r++) {
      for (int c = 0; c < x.length; c++) {
        product[r] += matrix[r][c] * x[c];
      }
    }
    return product;
  }

  /** The mixture on the GPU. */
  Tensor run(DType type) {
    Tensor out = gpu.allocate(type, tokens, hidden);
    mixture().forward(up(x), up(logits), options, null, weights, workspace, out);
    return out;
  }

  CudaMixtureOfExperts mixture() {
    return CudaMixtureOfExperts.on(gpu.stream());
  }

  @Override
  public void close() {
    gpu.stream().synchronize();
    scope.close();
    gpu.close();
  }
}
