package io.github.lightning4j.core.cuda.kernel;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.internal.Modules;

/** A function of a {@link KernelModule} that runs on its GPU. Thread-safe. */
public final class Kernel {
  private final CudaDevice device;
  private final String name;
  private final long function;
  private final int[] parameters;

  Kernel(CudaDevice device, String name, long function) {
    this.device = device;
    this.name = name;
    this.function = function;
    this.parameters = Modules.parameterSizes(device.index(), function, KernelArguments.MOST);
  }

  /**
   * Puts a launch on a stream.
   *
   * @throws IllegalArgumentException if the arguments do not fit the parameters, a tensor or the
   *     stream is on another device, or more shared memory is asked for than a block may have
   * @throws io.github.lightning4j.core.cuda.CudaException if the driver refuses
   */
  public void launch(CudaStream stream, LaunchShape shape, KernelArguments arguments) {
    checkArgument(
        stream.device().equals(device), "stream: %s is loaded on %s, got %s", name, device, stream);
    checkArgument(
        shape.sharedBytes() <= device.sharedMemoryPerBlock(),
        "sharedBytes: a block of %s may have %s, got %s",
        device,
        device.sharedMemoryPerBlock(),
        shape.sharedBytes());
    arguments.check(name, parameters, device.device());
    Modules.launch(
        device.index(),
        function,
        name + " " + shape,
        (int) shape.gridX(),
        (int) shape.gridY(),
        (int) shape.gridZ(),
        shape.threads(),
        shape.sharedBytes(),
        stream.address(),
        arguments.bits());
  }

  @Override
  public String toString() {
    return name + " on " + device;
  }
}
