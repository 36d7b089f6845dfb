package io.github.lightning4j.core.cuda.kernel;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.internal.Modules;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** What a kernel is called with, in the order of its parameters. At most 64. */
public final class KernelArguments {
  /** The most that a launch takes. */
  public static final int MOST = Modules.MOST_ARGUMENTS;

  private final long[] bits = new long[MOST];
  private final int[] sizes = new int[MOST];
  private final @Nullable Device[] devices = new @Nullable Device[MOST];
  private int count;

  /** None yet. */
  public KernelArguments() {}

  /** A pointer to the first element of a tensor, which must live on the GPU of the launch. */
  public KernelArguments tensor(Tensor tensor) {
    devices[Math.min(count, MOST - 1)] = tensor.device();
    boolean host = tensor.device().kind() == Device.Kind.CPU;
    return add(host ? tensor.address() : tensor.deviceAddress(), Long.BYTES);
  }

  /** As {@link #tensor}, or a null pointer. */
  public KernelArguments tensorOrNull(@Nullable Tensor tensor) {
    return tensor == null ? add(0, Long.BYTES) : tensor(tensor);
  }

  /** An {@code int}. */
  public KernelArguments i32(long value) {
    checkArgument(value == (int) value, "argument %s: expected 32 bits, got %s", count, value);
    return add(value, Integer.BYTES);
  }

  /** A {@code long long}. */
  public KernelArguments i64(long value) {
    return add(value, Long.BYTES);
  }

  /** A {@code float}. */
  public KernelArguments f32(float value) {
    return add(Float.floatToRawIntBits(value), Float.BYTES);
  }

  /** A {@code double}. */
  public KernelArguments f64(double value) {
    return add(Double.doubleToRawLongBits(value), Double.BYTES);
  }

  private KernelArguments add(long value, int size) {
    checkState(count < MOST, "a launch takes at most %s arguments", MOST);
    bits[count] = value;
    sizes[count++] = size;
    return this;
  }

  /** The bits of each, low ones first. */
  long[] bits() {
    return Arrays.copyOf(bits, count);
  }

  /** Fails if the parameters of the kernel have other sizes, or a tensor lives elsewhere. */
  void check(String kernel, int[] parameters, Device device) {
    int[] given = Arrays.copyOf(sizes, count);
    checkArgument(
        Arrays.equals(given, parameters),
        "arguments: %s takes parameters of %s bytes, got %s",
        kernel,
        Arrays.toString(parameters),
        Arrays.toString(given));
    for (int i = 0; i < count; i++) {
      checkArgument(
          devices[i] == null || device.equals(devices[i]),
          "argument %s of %s: expected a tensor on %s, got one on %s",
          i,
          kernel,
          device,
          devices[i]);
    }
  }
}
