package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.comm.internal.Exchange.Payload;
import java.util.Arrays;
import java.util.Set;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.ShortPointer;

/**
 * The sum over ranks. Rank r owns the r-th of equal parts: it gets that part from every rank, adds
 * in the order of ranks, and hands the sums to all. Each element is added in one place, so all
 * ranks end with the same bits.
 */
final class RankSum implements AutoCloseable {
  private static final Set<DType> TYPES =
      Set.of(DType.F64, DType.F32, DType.F16, DType.BF16, DType.I64, DType.I32);
  private static final long GRAIN = 1 << 15;
  private static final int BLOCK = 1 << 12;

  private final Tensor tensor;
  private final int rank;
  private final int size;
  private final long[] partBytes;
  private final long[] parts;
  private final long ownElements;
  private final Memory gathered;

  RankSum(Tensor tensor, int rank, int size) {
    Checks.contiguous("inOut", tensor);
    Checks.writable("inOut", tensor);
    Checks.dtype("inOut", tensor, TYPES);
    this.tensor = tensor;
    this.rank = rank;
    this.size = size;
    long n = tensor.elements();
    long[] elements = new long[size];
    Arrays.setAll(elements, r -> n / size + (r < n % size ? 1 : 0));
    ownElements = elements[rank];
    partBytes = Arrays.stream(elements).map(e -> e * tensor.dtype().bytes()).toArray();
    parts = TensorExchange.starts(tensor.address(), partBytes);
    gathered = Memory.allocate(partBytes[rank] * size);
  }

  String text() {
    return "allReduceSum " + tensor.dtype() + Arrays.toString(tensor.shape());
  }

  /** The r-th part to rank r. */
  Payload scatter() {
    long[] own = TensorExchange.filled(size, partBytes[rank]);
    return new Payload(parts, partBytes, TensorExchange.starts(gathered.address(), own), own);
  }

  /** The sums of the own part to every rank. */
  Payload gather() {
    long[] own = TensorExchange.filled(size, partBytes[rank]);
    return new Payload(TensorExchange.filled(size, parts[rank]), own, parts, partBytes);
  }

  /** Adds what {@link #scatter} brought. */
  void add() {
    Threads.forRanges(
        ownElements,
        GRAIN,
        (from, to) -> {
          for (long i = from; i < to; i += BLOCK) {
            addBlock(i, (int) Math.min(BLOCK, to - i));
          }
        });
  }

  private void addBlock(long first, int n) {
    switch (tensor.dtype()) {
      case F64 -> addDoubles(first, n);
      case F32 -> addFloats(first, n);
      case F16, BF16 -> addHalves(first, n);
      case I64 -> addLongs(first, n);
      default -> addInts(first, n);
    }
  }

  private void addDoubles(long first, int n) {
    double[] sum = new double[n];
    double[] next = new double[n];
    new DoublePointer(from(0, first, n)).get(sum);
    for (int r = 1; r < size; r++) {
      new DoublePointer(from(r, first, n)).get(next);
      for (int i = 0; i < n; i++) {
        sum[i] += next[i];
      }
    }
    new DoublePointer(out(first, n)).put(sum);
  }

  private void addFloats(long first, int n) {
    float[] sum = new float[n];
    float[] next = new float[n];
    new FloatPointer(from(0, first, n)).get(sum);
    for (int r = 1; r < size; r++) {
      new FloatPointer(from(r, first, n)).get(next);
      for (int i = 0; i < n; i++) {
        sum[i] += next[i];
      }
    }
    new FloatPointer(out(first, n)).put(sum);
  }

  private void addHalves(long first, int n) {
    boolean brain = tensor.dtype() == DType.BF16;
    float[] sum = new float[n];
    short[] next = new short[n];
    for (int r = 0; r < size; r++) {
      new ShortPointer(from(r, first, n)).get(next);
      for (int i = 0; i < n; i++) {
        float value = brain ? Bfloat16.toFloat(next[i]) : Float16.toFloat(next[i]);
        sum[i] = r == 0 ? value : sum[i] + value;
      }
    }
    for (int i = 0; i < n; i++) {
      next[i] = brain ? Bfloat16.fromFloat(sum[i]) : Float16.fromFloat(sum[i]);
    }
    new ShortPointer(out(first, n)).put(next);
  }

  private void addLongs(long first, int n) {
    long[] sum = new long[n];
    long[] next = new long[n];
    for (int r = 0; r < size; r++) {
      new LongPointer(from(r, first, n)).get(next);
      for (int i = 0; i < n; i++) {
        sum[i] += next[i];
      }
    }
    new LongPointer(out(first, n)).put(sum);
  }

  private void addInts(long first, int n) {
    int[] sum = new int[n];
    int[] next = new int[n];
    for (int r = 0; r < size; r++) {
      new IntPointer(from(r, first, n)).get(next);
      for (int i = 0; i < n; i++) {
        sum[i] += next[i];
      }
    }
    new IntPointer(out(first, n)).put(sum);
  }

  private BytePointer from(int r, long first, int n) {
    int width = tensor.dtype().bytes();
    return Memory.pointer(
        gathered.address() + r * partBytes[rank] + first * width, (long) n * width);
  }

  private BytePointer out(long first, int n) {
    int width = tensor.dtype().bytes();
    return Memory.pointer(parts[rank] + first * width, (long) n * width);
  }

  @Override
  public void close() {
    gathered.close();
  }
}
