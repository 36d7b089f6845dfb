package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.core.nn.CudaFill;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import org.jspecify.annotations.Nullable;

/**
 * One matrix {@code [N, K]} of each of E experts on a GPU, laid out as {@code experts.cuh} says.
 *
 * @param rows N
 * @param columns K
 * @param codes BF16 {@code [E, N, K]}, or U8 {@code [E, N, bytes of a row]} as {@link
 *     QuantizedMatrix} has them
 * @param scales BF16 {@code [E, blocks, N rounded up to 16]}; null for bf16
 * @param zeros U8 of the same shape; null unless the codes have 4 bits
 */
public record CudaExpertMatrix(
    long rows, long columns, Tensor codes, @Nullable Tensor scales, @Nullable Tensor zeros) {
  private static final int THREADS = 256;

  /** Rows that a copy of 16 bytes of zero points has. */
  private static final long PITCH = 16;

  /** K of codes is rounded up to this. */
  private static final long PADDING = 32;

  private static final class Sources {
    static final KernelSource ARRANGE = KernelSource.of(CudaExpertMatrix.class, "arrange.cu");
  }

  static KernelSource arrange(DType type) {
    return Sources.ARRANGE.define("BYTES", type.bytes());
  }

  /**
   * Memory for a matrix, not set.
   *
   * @param format null for bf16
   * @param scope closes it
   */
  public static CudaExpertMatrix allocate(
      CudaDevice device,
      long experts,
      long rows,
      long columns,
      @Nullable QuantFormat format,
      MemoryScope scope) {
    if (format == null) {
      Tensor codes = tensor(device, scope, DType.BF16, experts, rows, columns);
      return new CudaExpertMatrix(rows, columns, codes, null, null);
    }
    long padded = (columns + PADDING - 1) / PADDING * PADDING;
    long blocks = (padded + format.block() - 1) / format.block();
    long pitch = (rows + PITCH - 1) / PITCH * PITCH;
    return new CudaExpertMatrix(
        rows,
        columns,
        tensor(device, scope, DType.U8, experts, rows, padded * format.bits() / Byte.SIZE),
        tensor(device, scope, DType.BF16, experts, blocks, pitch),
        format.bits() == 4 ? tensor(device, scope, DType.U8, experts, blocks, pitch) : null);
  }

  private static Tensor tensor(
      CudaDevice device, MemoryScope scope, DType type, long a, long b, long c) {
    Memory memory = CudaMemory.allocate(device, a * b * c * type.bytes());
    return scope.add(Tensor.wrap(memory, 0, type, a, b, c));
  }

  /** Copies the matrix of an expert in bf16, which must live until the stream has come so far. */
  public void set(CudaStream stream, int expert, Tensor matrix) {
    if (matrix.isContiguous()) {
      stream.copy(matrix, codes.select(0, expert));
    } else {
      for (long row = 0; row < rows; row++) {
        stream.copy(matrix.select(0, row), codes.select(0, expert).select(0, row));
      }
    }
  }

  /** Copies the matrix of an expert in 8 or 4 bits, which must live as long. */
  public void set(CudaStream stream, int expert, QuantizedMatrix matrix) {
    // the QuantMatrix of quant_layout.h
    long[] record = host(matrix.descriptor(), DType.I64, 3, 1).toLongs();
    stream.copy(host(record[0], DType.U8, rows, codes.size(2)), codes.select(0, expert));
    transpose(stream, expert, record[1], scales);
    transpose(stream, expert, record[2], zeros);
  }

  private static Tensor host(long address, DType type, long rows, long columns) {
    Memory memory = Memory.wrapReadOnly(address, rows * columns * type.bytes(), () -> {});
    return Tensor.view(memory, 0, type, rows, columns);
  }

  private void transpose(CudaStream stream, int expert, long from, @Nullable Tensor to) {
    if (to == null) {
      return;
    }
    DType type = to.dtype();
    long blocks = to.size(1);
    Memory scratch = CudaMemory.allocate(stream, rows * blocks * type.bytes());
    try (Tensor there = Tensor.wrap(scratch, 0, type, rows, blocks)) {
      stream.copy(host(from, type, rows, blocks), there);
      KernelModule.of(stream.device(), arrange(type))
          .kernel("arrange")
          .launch(
              stream,
              LaunchShape.of((to.size(2) + THREADS - 1) / THREADS, blocks, THREADS),
              new KernelArguments()
                  .tensor(there)
                  .i32(rows)
                  .i32(blocks)
                  .i32(to.size(2))
                  .tensor(to.select(0, expert)));
    }
  }

  /** Makes random weights of variance 1 / K. */
  public void fill(CudaFill fill, @Nullable QuantFormat format) {
    if (format == null) {
      fill.uniform(Math.sqrt(3.0 / columns), codes);
      return;
    }
    fill.bits(codes);
    fill.constant(CudaQuantizedMatrix.evenScale(format, columns), scales);
    if (zeros != null) {
      fill.bytes(CudaQuantizedMatrix.MIDDLE, zeros);
    }
  }

  /** Bytes on the GPU. */
  public long bytes() {
    long bytes = 0;
    for (Tensor part : new @Nullable Tensor[] {codes, scales, zeros}) {
      bytes += part == null ? 0 : part.elements() * part.dtype().bytes();
    }
    return bytes;
  }

  /** Adds the three pointers. */
  KernelArguments to(KernelArguments arguments) {
    return arguments.tensor(codes).tensorOrNull(scales).tensorOrNull(zeros);
  }
}
