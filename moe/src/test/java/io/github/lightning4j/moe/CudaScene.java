package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gpu;
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
