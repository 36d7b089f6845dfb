package io.github.lightning4j.core.kernel;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.internal.CoreKernels;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import java.util.function.LongUnaryOperator;

/**
 * What this machine can do at best, measured: the limits that a kernel's rate is a share of.
 *
 * <p>An operator that computes much for each byte is bound by {@link #fma()} or {@link #amx()}, one
 * that computes little by {@link #read()} and {@link #copy()}. Each limit is the best of several
 * runs of a loop that does nothing else. Other load on the machine lowers them.
 *
 * @param isa the instruction set in use
 * @param threads what {@link Threads#count()} was; the {@link Rate#allThreads} are theirs
 * @param fma fp32 multiply-adds in registers with {@code isa}, operations a second; one
 *     multiply-add counts as two
 * @param amx bf16 tile products, operations a second; absent unless {@code isa} is {@link Isa#AMX}
 * @param read reading a buffer much larger than the caches, bytes a second
 * @param copy copying such a buffer past the caches, bytes read plus bytes written a second
 */
public record MachineLimits(
    Isa isa, int threads, Rate fma, Optional<Rate> amx, Rate read, Rate copy) {
  /** A run of the arithmetic loops: some milliseconds. */
  private static final long FMA_ROUNDS = 1 << 20;

  private static final long AMX_ROUNDS = 1 << 16;

  private static final int RUNS = 5;

  /** Pieces of memory a thread takes at once. */
  private static final long PIECE = 1 << 20;

  private static final long LEAST_BUFFER = 256L << 20;
  private static final long MOST_BUFFER = 1L << 30;

  /**
   * One limit.
   *
   * @param oneThread a second, of one thread with the others idle
   * @param allThreads a second, of all threads together
   */
  public record Rate(double oneThread, double allThreads) {
    /**
     * Validates.
     *
     * @throws IllegalArgumentException if a rate is not a positive number
     */
    public Rate {
      check("oneThread", oneThread);
      check("allThreads", allThreads);
    }

    private static void check(String name, double rate) {
      checkArgument(
          rate > 0 && Double.isFinite(rate), "%s: expected a positive number, got %s", name, rate);
    }
  }

  /** Does the part {@code [from, to)} of some work; returns how much that was. */
  @FunctionalInterface
  private interface Work {
    long run(long from, long to);
  }

  /**
   * Measures on {@link Threads#count()} threads; nothing else should run. Takes some seconds, and
   * two buffers of four times the largest cache, each of at least {@value #LEAST_BUFFER} and at
   * most {@value #MOST_BUFFER} bytes.
   *
   * @return the limits; empty where the native library of core is not available
   */
  public static Optional<MachineLimits> measure() {
    Isa isa = CoreKernels.library().isa();
    if (isa == null) {
      return Optional.empty();
    }
    Rate fma = arithmetic(CoreKernels::fmaChains, FMA_ROUNDS);
    Optional<Rate> amx =
        isa == Isa.AMX
            ? Optional.of(arithmetic(CoreKernels::amxChains, AMX_ROUNDS))
            : Optional.empty();
    long bytes = bufferBytes(CoreKernels.cacheBytes());
    try (Memory a = Memory.allocate(bytes);
        Memory b = Memory.allocate(bytes)) {
      // Writes every page: those never written are one and the same page of zeros.
      spread(bytes, PIECE, copying(a, b));
      spread(bytes, PIECE, copying(b, a));
      Rate read = rate(bytes, PIECE, reading(a));
      Rate copy = rate(bytes, PIECE, copying(a, b));
      return Optional.of(new MachineLimits(isa, Threads.count(), fma, amx, read, copy));
    }
  }

  /** Four times the largest cache, within the bounds, in whole pieces. */
  static long bufferBytes(long cacheBytes) {
    return Math.min(MOST_BUFFER, Math.max(LEAST_BUFFER, 4 * cacheBytes)) / PIECE * PIECE;
  }

  private static Rate arithmetic(LongUnaryOperator chains, long rounds) {
    Work work =
        (from, to) -> {
          long operations = 0;
          for (long i = from; i < to; i++) {
            operations += chains.applyAsLong(rounds);
          }
          return operations;
        };
    return rate(4L * Threads.count(), 1, work);
  }

  private static Work reading(Memory from) {
    return (start, end) -> {
      CoreKernels.readMemory(from.address() + start, (end - start) / Float.BYTES);
      return end - start;
    };
  }

  private static Work copying(Memory from, Memory to) {
    return (start, end) -> {
      CoreKernels.copyMemory(
          from.address() + start, to.address() + start, (end - start) / Float.BYTES);
      return 2 * (end - start);
    };
  }

  private static Rate rate(long units, long grain, Work work) {
    return new Rate(best(() -> work.run(0, units)), best(() -> spread(units, grain, work)));
  }

  private static long spread(long units, long grain, Work work) {
    LongAdder done = new LongAdder();
    Threads.forRanges(units, grain, (from, to) -> done.add(work.run(from, to)));
    return done.sum();
  }

  /** The most that was done in a second. */
  private static double best(LongSupplier run) {
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
      long start = System.nanoTime();
      long done = run.getAsLong();
      best = Math.max(best, done * 1e9 / (System.nanoTime() - start));
    }
    return best;
  }
}
