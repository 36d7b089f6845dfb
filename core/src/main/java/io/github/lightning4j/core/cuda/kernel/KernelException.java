package io.github.lightning4j.core.cuda.kernel;

/** Kernels do not compile, or the driver refuses them. */
public final class KernelException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * A refusal.
   *
   * @param message which source, for which GPU, what NVRTC or the driver says, and the way out
   */
  public KernelException(String message) {
    super(message);
  }
}
