package io.github.lightning4j.jmh.peer;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.internal.DnnlGemm;
import org.bytedeco.dnnl.engine;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** oneDNN over row-major fp32 matrices at addresses, on the calling thread alone. */
final class OneDnn {
  private OneDnn() {}

  /** A matrix as it lies in memory: where, and how many elements from row to row. */
  record Matrix(long address, long stride) {
    Pointer pointer() {
      return Memory.pointer(address, 0);
    }
  }

  /** How a product takes an operand. */
  enum As {
    STORED('N'),
    TRANSPOSED('T');

    private final byte code;

    As(char code) {
      this.code = (byte) code;
    }
  }

  /** The processor. */
  static engine engine() {
    return Holder.ENGINE;
  }

  /**
   * {@code c = alpha a b + beta c}, with c {@code [m, n]} and inner size k.
   *
   * @throws IllegalStateException if oneDNN refuses
   */
  static void multiply(
      As asA,
      Matrix a,
      As asB,
      Matrix b,
      Matrix c,
      long m,
      long n,
      long k,
      float alpha,
      float beta) {
    DnnlGemm.runOnCallingThread();
    int status =
        dnnl.dnnl_sgemm(
            asA.code,
            asB.code,
            m,
            n,
            k,
            alpha,
            new FloatPointer(a.pointer()),
            a.stride,
            new FloatPointer(b.pointer()),
            b.stride,
            beta,
            new FloatPointer(c.pointer()),
            c.stride);
    if (status != dnnl.dnnl_success) {
      throw new IllegalStateException(
          "oneDNN sgemm failed with status %d for m=%d n=%d k=%d".formatted(status, m, n, k));
    }
  }

  private static final class Holder {
    static final engine ENGINE = new engine(engine.kind.cpu, 0);
  }
}
