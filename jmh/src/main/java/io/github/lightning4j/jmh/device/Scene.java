package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.nn.CudaFill;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** A GPU and a stream for one row, its tensors, and the clock. */
final class Scene implements AutoCloseable {
  /** What successive steps go through at least: several times the L2 cache of any GPU. */
  private static final long COLD_BYTES = 512L << 20;

  private static final int RANDOM = 1 << 20;

  private static final long SEED = 20251122;

  private final MemoryScope scope = new MemoryScope();
  private final CudaDevice device;
  private final CudaStream stream;
  private final boolean smoke;
  private final CudaFill fill;

  /**
   * Opens a stream.
   *
   * @param smoke whether sizes are tiny and each step runs twice, to see that it runs at all
   */
  Scene(CudaDevice device, boolean smoke) {
    this.device = device;
    this.smoke = smoke;
    this.stream = CudaStream.open(device);
    this.fill = CudaFill.on(stream, SEED);
  }

  CudaDevice device() {
    return device;
  }

  CudaStream stream() {
    return stream;
  }

  /** A size: the true one, or the tiny one that stands for it. */
  int size(int full, int tiny) {
    return smoke ? tiny : full;
  }

  /** How many sets of tensors of so many bytes no cache can hold. */
  int variants(long bytes) {
    return smoke ? 2 : (int) Math.max(2, (COLD_BYTES + bytes - 1) / bytes);
  }

  /** Times a job. */
  Measured time(Job job) {
    try (DeviceTimer timer = new DeviceTimer(stream, smoke)) {
      return new Measured(timer.time(job), job.bytes(), job.operations());
    }
  }

  /** Keeps something that is closed with this, last come first. */
  <T extends AutoCloseable> T add(T resource) {
    return scope.add(resource);
  }

  /** Makes weights on the GPU. */
  CudaFill fill() {
    return fill;
  }

  /** BF16 weights made on the GPU, even in [-1, 1) and all different. */
  Tensor weights(long... shape) {
    Tensor there = allocate(DType.BF16, shape);
    fill.uniform(1, there);
    return there;
  }

  /** Quantized weights {@code [rows, columns]} made on the GPU. */
  CudaQuantizedMatrix weights(QuantFormat format, long rows, long columns) {
    Tensor image = zeros(DType.U8, QuantizedMatrix.imageBytes(format, rows, columns));
    return CudaQuantizedMatrix.random(fill, format, rows, columns, image);
  }

  /** A tensor of zeros that lives as long as this. */
  Tensor zeros(DType type, long... shape) {
    Tensor there = allocate(type, shape);
    stream.clear(there);
    return there;
  }

  private Tensor allocate(DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes *= size;
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(device, bytes), 0, type, shape));
  }

  /** Even values in [-1, 1), the same 2^20 again and again. */
  Tensor random(DType type, long... shape) {
    Tensor there = allocate(type, shape);
    Tensor flat = there.reshape(there.elements());
    long block = Math.min(RANDOM, flat.elements());
    try (Tensor here = Tensor.allocate(type, block)) {
      SplittableRandom random = new SplittableRandom(1);
      for (int i = 0; i < block; i++) {
        here.accessor().set(i, 2 * random.nextDouble() - 1);
      }
      stream.copy(here, flat.narrow(0, 0, block));
      stream.synchronize();
    }
    for (long from = block; from < flat.elements(); from += block) {
      long length = Math.min(block, flat.elements() - from);
      stream.copy(flat.narrow(0, 0, length), flat.narrow(0, from, length));
    }
    stream.synchronize();
    return there;
  }

  /** Integers, one dimension. */
  Tensor ints(int... values) {
    return up(Tensor.of(values, values.length));
  }

  /** The numbers 0 to n - 1. */
  Tensor range(int n) {
    return ints(IntStream.range(0, n).toArray());
  }

  /** A copy of a tensor of the host, which is closed. */
  Tensor up(Tensor host) {
    Tensor there = allocate(host.dtype(), host.shape());
    stream.copy(host, there);
    stream.synchronize();
    host.close();
    return there;
  }

  /** The elements of a tensor, once what is on the stream has ended. */
  double[] down(Tensor there) {
    try (Tensor here = Tensor.allocate(there.dtype(), there.shape())) {
      stream.copy(there, here);
      stream.synchronize();
      return here.toDoubles();
    }
  }

  @Override
  public void close() {
    try (stream;
        scope) {
      stream.synchronize();
    }
  }
}
