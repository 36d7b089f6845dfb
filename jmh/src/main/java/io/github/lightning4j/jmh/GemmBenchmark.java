package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.internal.CpuGemm;
import io.github.lightning4j.core.internal.DnnlGemm;
import io.github.lightning4j.core.internal.GemmKernel;
import io.github.lightning4j.core.internal.ReferenceGemm;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * The matrix product of a linear layer with {@value #K} inputs and {@value #N} outputs, for one
 * token, a small batch and a prefill chunk. {@code OWN}, {@code ONEDNN} and {@code REFERENCE} run
 * one kernel on one thread; {@code FACADE} is what a user gets: {@link Gemm#best()} on all threads.
 *
 * <p>Successive calls use different copies of the weights, {@value #POOL_BYTES} bytes in all, as
 * the layers of a model do: otherwise one token would measure the cache.
 */
public class GemmBenchmark extends OperatorBenchmark {
  static final int K = 1024;
  static final int N = 1024;
  static final long POOL_BYTES = 256L << 20;

  /** What computes the product. */
  public enum Kernel {
    OWN,
    ONEDNN,
    REFERENCE,
    FACADE;

    private Product product() {
      return switch (this) {
        case OWN -> alone(own());
        case ONEDNN -> alone(oneDnn());
        case REFERENCE -> alone(new ReferenceGemm());
        case FACADE -> Gemm.best()::multiply;
      };
    }

    private static GemmKernel own() {
      CoreKernels.library().availability().ensure("the own kernel");
      return new CpuGemm();
    }

    private static GemmKernel oneDnn() {
      Gemm.oneDnn().ensure("oneDNN");
      return new DnnlGemm();
    }

    private static Product alone(GemmKernel kernel) {
      return (a, w, out) -> kernel.multiply(a, w, out, 0, N);
    }
  }

  @FunctionalInterface
  private interface Product {
    void multiply(Tensor a, Tensor w, Tensor out);
  }

  @Param Kernel kernel;

  @Param({"1", "16", "512"})
  int m;

  @Param({"bf16", "f32"})
  String weights;

  private Product product;
  private Tensor a;
  private Tensor[] w;
  private Tensor out;
  private int next;

  /** Fills the operands. */
  @Setup
  public void open() {
    DType type = DType.of(weights);
    product = kernel.product();
    a = normal(DType.F32, m, K);
    out = zeros(DType.F32, m, N);
    w = new Tensor[(int) (POOL_BYTES / (K * N * type.bytes()))];
    w[0] = normal(type, N, K);
    for (int i = 1; i < w.length; i++) {
      w[i] = zeros(type, N, K);
      w[i].copyFrom(w[0]);
    }
  }

  /** One product. */
  @Benchmark
  public Tensor multiply() {
    next = (next + 1) % w.length;
    product.multiply(a, w[next], out);
    return out;
  }
}
