package io.github.lightning4j.jmh.peer;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.Optional;
import org.bytedeco.cuda.cublas.cublasContext;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** NVIDIA's matrix product, where its library is installed. */
public final class CuBlas implements AutoCloseable {
  private final cublasContext handle = new cublasContext();
  private final FloatPointer one = new FloatPointer(1f);
  private final FloatPointer zero = new FloatPointer(0f);

  /** A handle whose work goes to a stream. */
  public CuBlas(CudaStream stream) {
    check(cublas.cublasCreate_v2(handle), "cublasCreate");
    check(
        cublas.cublasSetStream_v2(handle, new CUstream_st(Memory.pointer(stream.address(), 0))),
        "cublasSetStream");
  }

  /** Why it cannot be used; empty where it can. */
  public static Optional<String> missing() {
    try {
      Class.forName("org.bytedeco.cuda.global.cublas");
      return Optional.empty();
    } catch (LinkageError | ClassNotFoundException e) {
      Throwable root = e;
      while (root.getCause() != null) {
        root = root.getCause();
      }
      return Optional.of("cuBLAS did not load: " + root.getMessage());
    }
  }

  /**
   * {@code c = a b}.
   *
   * @param a {@code [n, n]} BF16, as {@code b} and {@code c}; sums are fp32
   */
  public void multiply(Tensor a, Tensor b, Tensor c) {
    int n = (int) a.size(0);
    checkArgument(a.size(1) == n && a.isContiguous(), "a: expected a square matrix, got %s", a);
    // Row-major matrices are the transposed ones of column-major BLAS: c^T = b^T a^T.
    check(
        cublas.cublasGemmEx(
            handle,
            cublas.CUBLAS_OP_N,
            cublas.CUBLAS_OP_N,
            n,
            n,
            n,
            one,
            pointer(b),
            cudart.CUDA_R_16BF,
            n,
            pointer(a),
            cudart.CUDA_R_16BF,
            n,
            zero,
            pointer(c),
            cudart.CUDA_R_16BF,
            n,
            cublas.CUBLAS_COMPUTE_32F,
            cublas.CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  }

  private static Pointer pointer(Tensor tensor) {
    return Memory.pointer(tensor.deviceAddress(), 0);
  }

  private static void check(int status, String what) {
    if (status != cublas.CUBLAS_STATUS_SUCCESS) {
      throw new IllegalStateException(what + " failed with status " + status);
    }
  }

  @Override
  public void close() {
    try (one;
        zero) {
      check(cublas.cublasDestroy_v2(handle), "cublasDestroy");
    }
  }
}
