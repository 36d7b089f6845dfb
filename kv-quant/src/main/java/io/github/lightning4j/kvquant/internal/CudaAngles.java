package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.Tensor;

/**
 * Cosines and sines that scores meet where keys lack their mean, as {@code cache_mean.cuh} has
 * them. Angles are formed in double.
 */
final class CudaAngles {
  private static final int WARP = 32;

  private CudaAngles() {}

  /** Of the first positions of pages: {@code [pages, half, 2]} F32. */
  static Tensor turns(float[] frequencies, int pages) {
    return of(frequencies, pages, PageLayout.TOKENS);
  }

  /** Of positions within a page: {@code [64, half, 2]} F32. */
  static Tensor inner(float[] frequencies) {
    return of(frequencies, PageLayout.TOKENS, 1);
  }

  /** Of every {@code distance}-th position. */
  private static Tensor of(float[] frequencies, int positions, int distance) {
    float[] all = new float[positions * frequencies.length * 2];
    for (int i = 0; i < positions; i++) {
      for (int j = 0; j < frequencies.length; j++) {
        double angle = (double) i * distance * frequencies[j];
        int at = (i * frequencies.length + j) * 2;
        all[at] = (float) Math.cos(angle);
        all[at + 1] = (float) Math.sin(angle);
      }
    }
    return Tensor.of(all, positions, frequencies.length, 2);
  }

  /**
   * Of positions within a page, as operands of a tensor core: pairs of fp16 in I32, {@code [8
   * eights][32 lanes][half / 4]}. Lane 4 g + t has of token g of its eight the pairs t, t + 4, ...
   */
  static Tensor angles(float[] frequencies) {
    int words = frequencies.length / 4;
    int[] angles = new int[PageLayout.TOKENS / 8 * WARP * words];
    for (int at = 0; at < angles.length; at++) {
      int lane = at / words % WARP;
      int token = at / words / WARP * 8 + lane / 4;
      double angle = token * (double) frequencies[at % words * 4 + lane % 4];
      int cosine = Float16.fromFloat((float) Math.cos(angle)) & 0xffff;
      int sine = Float16.fromFloat((float) Math.sin(angle)) & 0xffff;
      angles[at] = cosine | sine << 16;
    }
    return Tensor.of(angles, angles.length);
  }
}
