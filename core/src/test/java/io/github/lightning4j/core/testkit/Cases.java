package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.Random;
import java.util.stream.IntStream;

/** Inputs for contract tests: awkward sizes and seeded random tensors. */
public final class Cases {
  /** Sizes around every vector, tile and block border. */
  public static final int[] AWKWARD = {
    1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257
  };

  private Cases() {}

  /** The awkward sizes up to a limit, for dimensions whose cost is quadratic. */
  public static int[] awkwardUpTo(int limit) {
    return IntStream.of(AWKWARD).filter(size -> size <= limit).toArray();
  }

  /** A contiguous tensor of standard normal values, rounded to the type. */
  public static Tensor normal(long seed, DType dtype, long... shape) {
    Tensor tensor = Tensor.allocate(dtype, shape);
    Random random = new Random(seed);
    Elements to = tensor.accessor();
    for (long i = 0; i < tensor.elements(); i++) {
      to.set(i, random.nextGaussian());
    }
    return tensor;
  }

  /** The same values in double. */
  public static Tensor widened(Tensor tensor) {
    return Tensor.of(tensor.toDoubles(), tensor.shape());
  }
}
