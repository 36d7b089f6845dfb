package io.github.lightning4j.attention.internal;

import java.util.List;

/**
 * How a prefill is split over threads when it has few heads.
 *
 * <p>Slicing the value columns of a head repeats its scores {@code Q K^T} in each slice; splitting
 * its tokens into segments repeats {@code K^T V} of all segments but the last. Either is chosen
 * only where the longest thread ends sooner by it, by count of multiply-adds.
 *
 * @param slices slices of value columns a head
 * @param segments whether long sequences are split into segments
 */
record Split(int slices, boolean segments) {
  /**
   * Tokens of a segment: where the scan of a sequence starts a new sum, in whatever order segments
   * are computed. A multiple of the chunk.
   */
  static final long SEGMENT = 2048;

  /** Slices are no narrower: tiles of the kernels are as wide. */
  private static final long NARROWEST = 32;

  /** Tokens of a chunk. */
  static final long CHUNK = 32;

  static Split of(List<Sequence> sequences, long heads, long dk, long dv, int threads) {
    long tokens = Sequence.longest(sequences);
    if (threads == 1 || tokens == 0) {
      return new Split(1, false);
    }
    // As many as keep the threads busy while the longest runs.
    long units = Math.max(1, Sequence.total(sequences) / tokens) * heads;
    if (units >= 4L * threads) {
      return new Split(1, false);
    }
    long count = (tokens + SEGMENT - 1) / SEGMENT;
    Split best = new Split(1, false);
    double least = Double.MAX_VALUE;
    for (int slices = 1; slices == 1 || slices * NARROWEST <= dv; slices *= 2) {
      double outputs = outputs(dk, (dv + slices - 1) / slices);
      double whole = rounds(units * slices, threads) * tokens * outputs;
      if (whole < least) {
        least = whole;
        best = new Split(slices, false);
      }
      double states = 2.0 * dk * dv / slices;
      double parts =
          SEGMENT
              * (rounds(units * slices * count, threads) * outputs
                  + rounds(units * slices * (count - 1), threads) * states);
      if (count > 1 && parts < least) {
        least = parts;
        best = new Split(slices, true);
      }
    }
    return best;
  }

  /** Multiply-adds a token of one slice, loading counted as some. */
  private static double outputs(long dk, double width) {
    return 2 * dk * width + CHUNK * (dk + width / 2) + 6 * (2 * dk + width);
  }

  private static double rounds(long units, int threads) {
    return Math.ceil((double) units / threads);
  }
}
