package io.github.lightning4j.core.cuda;

/**
 * A GPU can no longer be used by this process: a kernel went wrong, or the hardware did. What is on
 * the device is lost; memory, streams and events can still be closed, quietly. Other devices, and
 * the CPU, go on.
 */
public final class CudaDeviceLostException extends CudaException {
  private static final long serialVersionUID = 1L;

  /**
   * A loss.
   *
   * @param code the driver's {@code CUresult}
   * @param message what was tried, what the driver says, and the way out
   */
  public CudaDeviceLostException(int code, String message) {
    super(code, message);
  }
}
