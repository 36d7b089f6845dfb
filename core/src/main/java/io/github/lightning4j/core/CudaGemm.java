package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.internal.CublasLt;
import io.github.lightning4j.core.internal.CudaProduct;
import io.github.lightning4j.core.internal.CudaProducts;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The matrix product of a linear layer without bias on a GPU: what {@link Gemm} is for the CPU.
 *
 * <pre>out[m, n] = scale sum_k x[m, k] w[n, k] + residualScale residual[m, n]
 *
 * x [M, K]   w [N, K] (rows = outputs)   out, residual [M, N]
 * </pre>
 *
 * <p>Activations are BF16 or F32, weights BF16, F32 or quantized, the output BF16 or F32. The last
 * dimension of each must be dense; row strides are free.
 *
 * <p><b>Numerics.</b> Products are exact and sums fp32, as tensor cores form them; the result is
 * rounded once. F32 operands enter as three bf16 parts, which keep all their digits: the result is
 * as good as fp32 products, which router logits need (values above 3.38e38 count as infinite).
 * Quantized weights enter as the integers they are, and the sum of a block is multiplied by its
 * scale. The same call gives the same bits always; another M, another GPU or cuBLASLt may add in
 * another order. A row of x with NaN or infinity gives outputs that are not finite, in that row
 * alone.
 *
 * <p><b>Cost.</b> Up to {@value CudaProducts#FEW} rows read the weights once and are bound by that;
 * so are more rows that are F32, or not at multiples of 16 bytes, for each 16 of them. Other rows
 * go through tiles on tensor cores: by cuBLASLt for BF16 weights where {@linkplain #cublasLt it
 * loads}, else by an own kernel.
 *
 * <p>Calls put work on the stream and return; nothing waits, and calls can be part of a graph. The
 * first call with new types or sizes compiles kernels or asks cuBLASLt for its choice; make it
 * before recording a graph. The workspace, {@value #WORKSPACE} bytes, belongs to the stream: one
 * object a stream.
 */
public final class CudaGemm implements AutoCloseable {
  /** Bytes for sums of parts of K. */
  private static final int WORKSPACE = 32 << 20;

  private static final Set<DType> TYPES = EnumSet.of(DType.BF16, DType.F32);

  private final CudaStream stream;
  private final Tensor workspace;
  private final CudaProducts products;

  private CudaGemm(CudaStream stream) {
    this.stream = stream;
    this.workspace =
        Tensor.wrap(
            CudaMemory.allocate(stream.device(), WORKSPACE), 0, DType.F32, WORKSPACE / Float.BYTES);
    this.products = new CudaProducts(stream, workspace);
  }

  /**
   * What a product is added to.
   *
   * @param scale of the product
   * @param residual {@code [M, N]} of the type of out, which may be out; null for none
   * @param residualScale of the residual
   */
  public record Sum(float scale, @Nullable Tensor residual, float residualScale) {
    /** The product alone. */
    public static final Sum NONE = new Sum(1, null, 0);
  }

  /**
   * Products whose work goes to a stream.
   *
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if there is no room for the
   *     workspace
   */
  public static CudaGemm open(CudaStream stream) {
    return new CudaGemm(stream);
  }

  /** Whether cuBLASLt serves large products of BF16, and if not, why. */
  public static Availability cublasLt() {
    return CublasLt.availability();
  }

  /**
   * Computes {@code out = x w^T}.
   *
   * @param x activations {@code [M, K]}, BF16 or F32
   * @param w weights {@code [N, K]}, BF16 or F32
   * @param out {@code [M, N]}, BF16 or F32; must not overlap x or w
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit
   */
  public void multiply(Tensor x, Tensor w, Tensor out) {
    multiply(x, w, Sum.NONE, out);
  }

  /**
   * Computes {@code out = scale x w^T + residualScale residual}.
   *
   * @param x as above
   * @param w as above
   * @param sum scales and residual
   * @param out as above
   * @throws IllegalArgumentException as above
   */
  public void multiply(Tensor x, Tensor w, Sum sum, Tensor out) {
    matrix("w", w);
    run(x, w, w.size(0), w.size(1), null, sum, out);
  }

  /**
   * Computes {@code out = x w^T} over quantized weights.
   *
   * @param x as above
   * @param w weights {@code [N, K]}
   * @param out as above
   * @throws IllegalArgumentException as above
   */
  public void multiply(Tensor x, CudaQuantizedMatrix w, Tensor out) {
    multiply(x, w, Sum.NONE, out);
  }

  /**
   * Computes {@code out = scale x w^T + residualScale residual} over quantized weights.
   *
   * @param x as above
   * @param w as above
   * @param sum scales and residual
   * @param out as above
   * @throws IllegalArgumentException as above
   */
  public void multiply(Tensor x, CudaQuantizedMatrix w, Sum sum, Tensor out) {
    stream.check("w", w.image());
    run(x, w.codes(), w.rows(), w.columns(), w, sum, out);
  }

  private void run(
      Tensor x,
      Tensor codes,
      long n,
      long k,
      @Nullable CudaQuantizedMatrix quantized,
      Sum sum,
      Tensor out) {
    matrix("x", x);
    Checks.shape("x", x, x.size(0), k);
    matrix("out", out);
    Checks.shape("out", out, x.size(0), n);
    Checks.writable("out", out);
    checkArgument(
        !Checks.overlap(out, x) && !Checks.overlap(out, codes), "out: must not overlap x or w");
    checkArgument(
        x.size(0) <= Integer.MAX_VALUE / 2 && n <= 1 << 20 && k <= Integer.MAX_VALUE / 4,
        "expected at most %s rows, 2^20 outputs and %s inputs, got x %s and %s outputs",
        Integer.MAX_VALUE / 2,
        Integer.MAX_VALUE / 4,
        x,
        n);
    Tensor residual = sum.residual();
    if (residual != null) {
      stream.check("residual", residual);
      Checks.matrix("residual", residual, out.dtype());
      Checks.shape("residual", residual, out.shape());
      boolean same =
          residual.deviceAddress() == out.deviceAddress()
              && (out.size(0) <= 1 || residual.stride(0) == out.stride(0));
      checkArgument(
          same || !Checks.overlap(out, residual),
          "residual: expected out itself or memory apart from it");
    }
    if (out.elements() > 0) {
      products.multiply(
          new CudaProduct(x, codes, quantized, out, sum.scale(), residual, sum.residualScale()));
    }
  }

  private void matrix(String name, Tensor tensor) {
    stream.check(name, tensor);
    Checks.matrix(name, tensor, TYPES);
  }

  /**
   * Frees the workspace; waits, in the driver, for work on the device.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    workspace.close();
  }
}
