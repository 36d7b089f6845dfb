package io.github.lightning4j.kvquant.transform;

import java.util.Random;

/** Dense pairs for tests. */
public final class RandomPairs {
  private RandomPairs() {}

  /** A Gram matrix whose channels differ by orders of magnitude. */
  static double[] gram(long seed, int dim) {
    Random random = new Random(seed);
    double[] gram = new double[dim * dim];
    double[] x = new double[dim];
    for (int t = 0; t < 4 * dim; t++) {
      double shared = random.nextGaussian();
      for (int i = 0; i < dim; i++) {
        x[i] = (random.nextGaussian() + shared) * (i % 5 == 0 ? 10 : 0.3);
      }
      for (int i = 0; i < dim; i++) {
        for (int j = 0; j < dim; j++) {
          gram[i * dim + j] += x[i] * x[j];
        }
      }
    }
    return gram;
  }

  /** A pair made to such matrices. */
  public static DensePair of(long seed, int dim) {
    return DensePair.wush(gram(seed, dim), gram(seed + 100, dim), dim, DensePair.DAMPING);
  }
}
