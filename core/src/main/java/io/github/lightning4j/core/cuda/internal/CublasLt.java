package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.cuda.CudaException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * NVIDIA's matrix product for {@code out [M, N] = scale x w^T + residualScale residual} in bf16,
 * where its library loads. It knows columns, not rows: to it {@code out^T [N, M] = w x^T}. What it
 * chose for a shape is kept, for the last {@value #KEPT} shapes; nothing waits for the GPU.
 */
public final class CublasLt {
  private static final int KEPT = 256;

  /** What addresses and row strides are multiples of, in bytes. */
  public static final int ALIGNMENT = 16;

  private CublasLt() {}

  /** Whether the library loads; found out on the first call. */
  public static Availability availability() {
    return Holder.AVAILABILITY;
  }

  /**
   * A shape of products, strides in elements.
   *
   * @param device the GPU
   * @param m rows of x
   * @param n rows of w
   * @param k columns of both
   * @param ldx row stride of x
   * @param ldw row stride of w
   * @param ldo row stride of out
   * @param ldr row stride of the residual
   * @param fp32 whether out and residual are F32
   * @param workspace bytes of working memory
   */
  public record Shape(
      int device,
      long m,
      long n,
      long k,
      long ldx,
      long ldw,
      long ldo,
      long ldr,
      boolean fp32,
      long workspace) {}

  /**
   * The addresses of a product; {@code residual} is that of out where there is none.
   *
   * @param x activations
   * @param w weights
   * @param residual what is added
   * @param out the result
   * @param workspace working memory, of one stream
   */
  public record Addresses(long x, long w, long residual, long out, long workspace) {}

  /**
   * Puts a product on a stream.
   *
   * @return false if the library has no kernel for this shape; nothing was done then
   */
  public static boolean multiply(
      Shape shape, Addresses at, long stream, float scale, float residualScale) {
    Driver.enter(shape.device);
    synchronized (Holder.PLANS) {
      Optional<Plan> plan = Holder.PLANS.computeIfAbsent(shape, Plan::find);
      plan.ifPresent(found -> found.run(shape, at, stream, scale, residualScale));
      return plan.isPresent();
    }
  }

  private static void check(int status, String what) {
    if (status != cublas.CUBLAS_STATUS_SUCCESS) {
      String says = cublas.cublasLtGetStatusString(status).getString();
      throw new CudaException(status, what + " of cuBLASLt failed: " + says);
    }
  }

  /** The library's choice for a shape. */
  private record Plan(
      cublasLtContext handle,
      cublasLtMatmulDescOpaque_t product,
      cublasLtMatrixLayoutOpaque_t w,
      cublasLtMatrixLayoutOpaque_t x,
      cublasLtMatrixLayoutOpaque_t residual,
      cublasLtMatrixLayoutOpaque_t out,
      cublasLtMatmulHeuristicResult_t choice,
      FloatPointer scales) {

    static Optional<Plan> find(Shape shape) {
      int type = shape.fp32 ? cudart.CUDA_R_32F : cudart.CUDA_R_16BF;
      Plan plan =
          new Plan(
              Holder.HANDLES.computeIfAbsent(shape.device, device -> open()),
              descriptor(),
              layout(cudart.CUDA_R_16BF, shape.k, shape.n, shape.ldw),
              layout(cudart.CUDA_R_16BF, shape.k, shape.m, shape.ldx),
              layout(type, shape.n, shape.m, shape.ldr),
              layout(type, shape.n, shape.m, shape.ldo),
              new cublasLtMatmulHeuristicResult_t(),
              new FloatPointer(2));
      if (plan.choose(shape.workspace)) {
        return Optional.of(plan);
      }
      plan.close();
      return Optional.empty();
    }

    private static cublasLtContext open() {
      cublasLtContext handle = new cublasLtContext();
      check(cublas.cublasLtCreate(handle), "a handle");
      return handle;
    }

    private static cublasLtMatmulDescOpaque_t descriptor() {
      try (PointerPointer<cublasLtMatmulDescOpaque_t> made = new PointerPointer<>(1);
          IntPointer transposed = new IntPointer(1)) {
        check(
            cublas.cublasLtMatmulDescCreate(made, cublas.CUBLAS_COMPUTE_32F, cudart.CUDA_R_32F),
            "a descriptor");
        cublasLtMatmulDescOpaque_t product = made.get(cublasLtMatmulDescOpaque_t.class, 0);
        transposed.put(cublas.CUBLAS_OP_T);
        check(
            cublas.cublasLtMatmulDescSetAttribute(
                product, cublas.CUBLASLT_MATMUL_DESC_TRANSA, transposed, Integer.BYTES),
            "a transposition");
        return product;
      }
    }

    private static cublasLtMatrixLayoutOpaque_t layout(int type, long rows, long columns, long ld) {
      try (PointerPointer<cublasLtMatrixLayoutOpaque_t> made = new PointerPointer<>(1)) {
        check(cublas.cublasLtMatrixLayoutCreate(made, type, rows, columns, ld), "a layout");
        return made.get(cublasLtMatrixLayoutOpaque_t.class, 0);
      }
    }

    /** Asks for the fastest kernel that gets along with the workspace and our alignment. */
    private boolean choose(long workspace) {
      try (PointerPointer<cublasLtMatmulPreferenceOpaque_t> made = new PointerPointer<>(1);
          LongPointer bytes = new LongPointer(1);
          IntPointer alignment = new IntPointer(1);
          IntPointer found = new IntPointer(1)) {
        check(cublas.cublasLtMatmulPreferenceCreate(made), "a preference");
        cublasLtMatmulPreferenceOpaque_t preference =
            made.get(cublasLtMatmulPreferenceOpaque_t.class, 0);
        try {
          bytes.put(workspace);
          prefer(preference, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, Long.BYTES);
          alignment.put(ALIGNMENT);
          for (int of :
              new int[] {
                cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
              }) {
            prefer(preference, of, alignment, Integer.BYTES);
          }
          int status =
              cublas.cublasLtMatmulAlgoGetHeuristic(
                  handle, product, w, x, residual, out, preference, 1, choice, found);
          return status == cublas.CUBLAS_STATUS_SUCCESS && found.get() > 0;
        } finally {
          cublas.cublasLtMatmulPreferenceDestroy(preference);
        }
      }
    }

    private static void prefer(
        cublasLtMatmulPreferenceOpaque_t preference, int what, Pointer value, long bytes) {
      check(
          cublas.cublasLtMatmulPreferenceSetAttribute(preference, what, value, bytes),
          "a preference");
    }

    void run(Shape shape, Addresses at, long stream, float scale, float residualScale) {
      scales.put(0, scale);
      scales.put(1, residualScale);
      check(
          cublas.cublasLtMatmul(
              handle,
              product,
              scales.getPointer(0),
              Memory.pointer(at.w, 0),
              w,
              Memory.pointer(at.x, 0),
              x,
              scales.getPointer(1),
              Memory.pointer(at.residual, 0),
              residual,
              Memory.pointer(at.out, 0),
              out,
              choice.algo(),
              Memory.pointer(at.workspace, 0),
              shape.workspace,
              Streams.of(stream)),
          "the product " + shape);
    }

    void close() {
      cublas.cublasLtMatmulDescDestroy(product);
      for (cublasLtMatrixLayoutOpaque_t layout :
          new cublasLtMatrixLayoutOpaque_t[] {w, x, residual, out}) {
        cublas.cublasLtMatrixLayoutDestroy(layout);
      }
      choice.close();
      scales.close();
    }
  }

  private static final class Holder {
    static final Availability AVAILABILITY = probe();
    static final Map<Integer, cublasLtContext> HANDLES = new LinkedHashMap<>();
    static final Map<Shape, Optional<Plan>> PLANS = new Plans();

    private static Availability probe() {
      if (!Cuda.availability().isAvailable()) {
        return Cuda.availability();
      }
      try {
        return Availability.available("cuBLASLt " + cublas.cublasLtGetVersion());
      } catch (LinkageError e) {
        Throwable root = e;
        while (root.getCause() != null) {
          root = root.getCause();
        }
        return Availability.unavailable(
            "cuBLASLt did not load (" + root.getMessage() + ")", "install cuBLAS of CUDA 13");
      }
    }
  }

  /** The shapes used last. */
  private static final class Plans extends LinkedHashMap<Shape, Optional<Plan>> {
    private static final long serialVersionUID = 1;

    Plans() {
      super(16, 0.75f, true);
    }

    @Override
    protected boolean removeEldestEntry(Map.Entry<Shape, Optional<Plan>> eldest) {
      boolean full = size() > KEPT;
      if (full) {
        eldest.getValue().ifPresent(Plan::close);
      }
      return full;
    }
  }
}
