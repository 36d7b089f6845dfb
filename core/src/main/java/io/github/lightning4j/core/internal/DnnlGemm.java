package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * oneDNN's fp32 product, called single-threaded from our own workers. Weights of fewer than 32 bits
 * are widened panel by panel into scratch memory that stays in the cache while the panel is used.
 */
public final class DnnlGemm implements GemmKernel {
  /** Weight rows widened at once: with K = 1024 they take 256 KiB. */
  public static final long PANEL = 64;

  /** Stateless. */
  public DnnlGemm() {}

  /** Whether oneDNN is on the class path and loads. */
  public static Availability availability() {
    return Holder.AVAILABILITY;
  }

  /** Makes oneDNN run what the calling thread asks for on that thread alone, from now on. */
  public static void runOnCallingThread() {
    SingleThread.ENTERED.get();
  }

  @Override
  public void multiply(Tensor a, Tensor w, Tensor out, long from, long to) {
    runOnCallingThread();
    if (w.dtype() == DType.F32) {
      sgemm(a, w.address() + from * w.stride(0) * 4, w.stride(0), out, from, to);
      return;
    }
    long k = a.size(1);
    try (Memory scratch = Memory.allocate(PANEL * k * 4)) {
      for (long n = from; n < to; n += PANEL) {
        long end = Math.min(to, n + PANEL);
        for (long row = n; row < end; row++) {
          CoreKernels.widen(
              w.dtype().ordinal(),
              w.address() + row * w.stride(0) * w.dtype().bytes(),
              scratch.address() + (row - n) * k * 4,
              k);
        }
        sgemm(a, scratch.address(), k, out, n, end);
      }
    }
  }

  private static void sgemm(Tensor a, long weights, long ldw, Tensor out, long from, long to) {
    int status =
        dnnl.dnnl_sgemm(
            (byte) 'N',
            (byte) 'T',
            a.size(0),
            to - from,
            a.size(1),
            1f,
            floats(a.address()),
            a.stride(0),
            floats(weights),
            ldw,
            0f,
            floats(out.address() + from * 4),
            out.stride(0));
    if (status != dnnl.dnnl_success) {
      throw new IllegalStateException(
          "oneDNN sgemm failed with status "
              + status
              + " for ["
              + a.size(0)
              + ", "
              + a.size(1)
              + "] x "
              + (to - from)
              + " rows on cpu");
    }
  }

  private static FloatPointer floats(long address) {
    return new FloatPointer((Pointer) Memory.pointer(address, 0));
  }

  private static final class SingleThread {
    static final ThreadLocal<Boolean> ENTERED =
        ThreadLocal.withInitial(() -> CoreKernels.openMpSingleThread() != 0);
  }

  private static final class Holder {
    static final Availability AVAILABILITY = probe();

    private static Availability probe() {
      if (!CoreKernels.library().availability().isAvailable()) {
        return Availability.unavailable(
            "it needs the native library of core", CoreKernels.library().availability().fix());
      }
      try {
        // Below AVX2 its sgemm is a plain loop. An environment variable can force that.
        if ((dnnl.dnnl_get_effective_cpu_isa() & dnnl.dnnl_cpu_isa_avx2)
            != dnnl.dnnl_cpu_isa_avx2) {
          return Availability.unavailable(
              "oneDNN is held below AVX2, where it has reference code only",
              "unset ONEDNN_MAX_CPU_ISA");
        }
        return Availability.available(
            "oneDNN "
                + dnnl.dnnl_version().major()
                + "."
                + dnnl.dnnl_version().minor()
                + "."
                + dnnl.dnnl_version().patch());
      } catch (UnsatisfiedLinkError | NoClassDefFoundError e) {
        return Availability.unavailable(
            "oneDNN did not load (" + e.getMessage() + ")",
            "add io.github.lightning4j:platform to the class path");
      }
    }
  }
}
