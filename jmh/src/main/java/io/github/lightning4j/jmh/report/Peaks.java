package io.github.lightning4j.jmh.report;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.core.kernel.MachineLimits.Rate;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;

/**
 * The limits of this machine for each number of threads that worked.
 *
 * @param byThreads none where the native library of core is missing
 */
record Peaks(Map<Integer, MachineLimits> byThreads) {
  /** Nothing is known: shares are not told. */
  static final Peaks UNKNOWN = new Peaks(Map.of());

  /** Measures for the numbers of threads given. */
  static Peaks measure(Collection<Integer> threads) {
    int before = Threads.count();
    Map<Integer, MachineLimits> limits = new TreeMap<>();
    try {
      for (int count : threads) {
        Threads.use(count);
        MachineLimits.measure().ifPresent(found -> limits.put(count, found));
      }
    } finally {
      Threads.use(before);
    }
    return new Peaks(limits);
  }

  /** Operations a second: of tiles for bf16 where there are any, else of multiply-adds; or NaN. */
  double operations(int threads, DType dtype) {
    MachineLimits limits = byThreads.get(threads);
    if (limits == null) {
      return Double.NaN;
    }
    Rate rate = dtype == DType.BF16 ? limits.amx().orElse(limits.fma()) : limits.fma();
    return rate.allThreads();
  }

  /** Bytes read a second, or NaN. */
  double read(int threads) {
    MachineLimits limits = byThreads.get(threads);
    return limits == null ? Double.NaN : limits.read().allThreads();
  }

  /** Bytes read and written a second, or NaN. */
  double bytes(int threads) {
    MachineLimits limits = byThreads.get(threads);
    return limits == null ? Double.NaN : limits.copy().allThreads();
  }
}
