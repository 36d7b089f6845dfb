package io.github.lightning4j.core.cuda;

/** A GPU has less free memory than was asked for. */
public final class CudaOutOfMemoryException extends CudaException {
  private static final long serialVersionUID = 1L;

  private final long bytes;
  private final long freeBytes;

  /**
   * A refusal.
   *
   * @param code the driver's {@code CUresult}
   * @param what what was asked of which device
   * @param bytes how much was asked for
   * @param freeBytes how much the device has free
   * @param totalBytes how much the device has
   */
  public CudaOutOfMemoryException(
      int code, String what, long bytes, long freeBytes, long totalBytes) {
    super(
        code,
        what
            + ": asked for "
            + bytes
            + " bytes, "
            + freeBytes
            + " of "
            + totalBytes
            + " are free; close what is not needed, or use a smaller model, context or batch");
    this.bytes = bytes;
    this.freeBytes = freeBytes;
  }

  /** How many bytes were asked for. */
  public long bytes() {
    return bytes;
  }

  /** How many bytes the device had free. */
  public long freeBytes() {
    return freeBytes;
  }
}
