package io.github.lightning4j.core.cuda;

/** The CUDA driver refused a call; says which, on what, and what the driver says. */
public sealed class CudaException extends RuntimeException
    permits CudaDeviceLostException, CudaOutOfMemoryException {
  private static final long serialVersionUID = 1L;

  private final int code;

  /**
   * A refusal.
   *
   * @param code the driver's {@code CUresult}
   * @param message what was tried, what the driver says, and the way out
   */
  public CudaException(int code, String message) {
    super(message);
    this.code = code;
  }

  /** The driver's {@code CUresult}. */
  public int code() {
    return code;
  }
}
