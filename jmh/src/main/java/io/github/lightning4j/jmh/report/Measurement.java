package io.github.lightning4j.jmh.report;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;

/**
 * One measured call.
 *
 * @param dtype of q, k, v and the output
 * @param batch sequences
 * @param threads that worked on it
 * @param nanoseconds the median
 */
record Measurement(
    Kernel kernel,
    Pass pass,
    DType dtype,
    int batch,
    AttentionSize size,
    int threads,
    double nanoseconds) {
  Measurement {
    checkArgument(
        nanoseconds > 0 && Double.isFinite(nanoseconds),
        "nanoseconds: expected a positive number, got %s",
        nanoseconds);
  }
}
