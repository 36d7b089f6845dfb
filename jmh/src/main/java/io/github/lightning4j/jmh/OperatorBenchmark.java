package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What all benchmarks share: nanoseconds a call, short steady runs, seeded inputs, one scope. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = "-Xmx2g")
public abstract class OperatorBenchmark {
  private static final long TILE = 1 << 18;

  /** Owns the inputs; closed after each set of parameters. */
  private final MemoryScope scope = new MemoryScope();

  private final Random random = new Random(1);

  /** A tensor of zeros. */
  protected final Tensor zeros(DType dtype, long... shape) {
    return scope.allocate(dtype, shape);
  }

  /** A tensor of normal values, the same ones in every run. */
  protected final Tensor normal(DType dtype, long... shape) {
    Tensor tensor = zeros(dtype, shape);
    var to = tensor.accessor();
    for (long i = 0; i < tensor.elements(); i++) {
      to.set(i, random.nextGaussian());
    }
    return tensor;
  }

  /**
   * A large tensor of normal values that repeat after {@value #TILE} of them, which is quick to
   * fill.
   */
  protected final Tensor tiled(DType dtype, long... shape) {
    Tensor tensor = zeros(dtype, shape);
    long n = tensor.elements();
    Tensor flat = tensor.reshape(n);
    Tensor tile = normal(dtype, Math.min(TILE, n));
    for (long i = 0; i < n; i += TILE) {
      long length = Math.min(TILE, n - i);
      flat.narrow(0, i, length).copyFrom(tile.narrow(0, 0, length));
    }
    return tensor;
  }

  /** Frees the inputs. */
  @TearDown(Level.Trial)
  public void close() {
    scope.close();
  }
}
