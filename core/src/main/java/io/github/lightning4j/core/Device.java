package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Where memory lives.
 *
 * @param kind CPU or CUDA
 * @param index the CUDA device ordinal; 0 for the CPU
 */
public record Device(Kind kind, int index) {
  /** The kinds of device. */
  public enum Kind {
    /** Host memory. */
    CPU,
    /** Memory of an NVIDIA GPU. */
    CUDA
  }

  /** The host. */
  public static final Device CPU = new Device(Kind.CPU, 0);

  /** Checks the ordinal. */
  public Device {
    checkArgument(index >= 0, "index: expected >= 0, got %s", index);
    checkArgument(kind != Kind.CPU || index == 0, "index: the CPU has index 0, got %s", index);
  }

  /** The CUDA device with this ordinal. */
  public static Device cuda(int index) {
    return new Device(Kind.CUDA, index);
  }

  @Override
  public String toString() {
    return kind == Kind.CPU ? "cpu" : "cuda:" + index;
  }
}
