package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.internal.CublasLt;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import org.jspecify.annotations.Nullable;

/**
 * A checked product {@code out = scale x w^T + residualScale residual} on a GPU.
 *
 * @param x {@code [M, K]} BF16 or F32
 * @param codes the weights {@code [N, K]}, BF16 or F32, or the codes of {@code quantized}
 * @param quantized the weights where they are quantized
 * @param out {@code [M, N]} BF16 or F32
 * @param scale of the product
 * @param residual as {@code out}, or null
 * @param residualScale of the residual
 */
public record CudaProduct(
    Tensor x,
    Tensor codes,
    @Nullable CudaQuantizedMatrix quantized,
    Tensor out,
    float scale,
    @Nullable Tensor residual,
    float residualScale) {
  private static final int GRANULE = 16;

  long m() {
    return x.size(0);
  }

  long n() {
    return out.size(1);
  }

  long k() {
    return x.size(1);
  }

  /** Bits of a weight. */
  int bits() {
    return quantized == null ? codes.dtype().bytes() * 8 : quantized.format().bits();
  }

  /** Weights of a scale; 1 where there are none. */
  int block() {
    return quantized == null ? 1 : quantized.format().block();
  }

  private long rowBytes() {
    return codes.stride(0) * codes.dtype().bytes();
  }

  /** Whether vectors of 16 bytes of weights, and of 4 elements of x, may be read. */
  boolean isAligned() {
    boolean weights = quantized != null || isAligned(codes, GRANULE);
    return weights && isAligned(x, 4 * x.dtype().bytes());
  }

  /** Whether rows of x and of weights may be copied 16 bytes at a time. */
  boolean isInGranules() {
    return isAligned() && isAligned(x, GRANULE);
  }

  private static boolean isAligned(Tensor rows, int bytes) {
    return rows.deviceAddress() % bytes == 0
        && rows.size(1) * rows.dtype().bytes() % bytes == 0
        && (rows.size(0) <= 1 || rows.stride(0) * rows.dtype().bytes() % bytes == 0);
  }

  /** Whether cuBLASLt takes such types and addresses. */
  boolean isForCublasLt() {
    return bits() == 16
        && isAligned(out, CublasLt.ALIGNMENT)
        && (residual == null || isAligned(residual, CublasLt.ALIGNMENT));
  }

  /** The product as cuBLASLt knows it. */
  CublasLt.Shape shape(int device, long workspaceBytes) {
    return new CublasLt.Shape(
        device,
        m(),
        n(),
        k(),
        stride(x),
        stride(codes),
        stride(out),
        stride(residual == null ? out : residual),
        out.dtype() == DType.F32,
        workspaceBytes);
  }

  /** Where cuBLASLt finds it all. */
  CublasLt.Addresses addresses(Tensor workspace) {
    return new CublasLt.Addresses(
        x.deviceAddress(),
        codes.deviceAddress(),
        (residual == null ? out : residual).deviceAddress(),
        out.deviceAddress(),
        workspace.deviceAddress());
  }

  /** Rows of one matrix may have any stride, if it is the only row. */
  private static long stride(Tensor rows) {
    return rows.size(0) == 1 ? rows.size(1) : rows.stride(0);
  }

  /** What kernels call the type of weights. */
  int weights() {
    return quantized == null ? (bits() == 32 ? 0 : 1) : bits() == 8 ? 2 : 3;
  }

  /** Defines what kernels know of types: {@code W, BLOCK, O}. */
  KernelSource specialise(KernelSource source) {
    return source
        .define("W", weights())
        .define("BLOCK", block())
        .define("O", CudaRows.code(out.dtype()));
  }

  /**
   * What both kernels are called with.
   *
   * @param span how much of K a part has
   * @param partial where sums of parts go; null where there is one part
   */
  KernelArguments arguments(long span, @Nullable Tensor partial) {
    KernelArguments arguments =
        new KernelArguments()
            .tensor(x)
            .i64(x.stride(0))
            .tensor(codes)
            .i64(rowBytes())
            .tensorOrNull(quantized == null ? null : quantized.scales())
            .tensorOrNull(quantized == null ? null : quantized.zeros())
            .i32(quantized == null ? 0 : quantized.blocks())
            .i32(m())
            .i32(n())
            .i32(k())
            .i32(span)
            .tensorOrNull(partial);
    return ending(arguments);
  }

  /** Where the sums go, and what is added to them. */
  KernelArguments ending(KernelArguments arguments) {
    return arguments
        .tensor(out)
        .i64(out.stride(0))
        .f32(scale)
        .tensorOrNull(residual)
        .i64(residual == null ? 0 : residual.stride(0))
        .f32(residualScale);
  }
}
