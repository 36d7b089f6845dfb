package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.Tensor;
import java.util.SplittableRandom;

/** Sums whose bits depend on the order of adding, against plain loops in the stated order. */
final class Sums {
  private Sums() {}

  static void check(Communicator world, DType type, int n) {
    try (Tensor tensor = Tensor.allocate(type, n);
        Tensor expected = Tensor.allocate(type, n)) {
      double[][] values = new double[world.size()][];
      for (int r = 0; r < world.size(); r++) {
        fill(tensor, r);
        values[r] = tensor.toDoubles();
      }
      fill(tensor, world.rank());
      for (int i = 0; i < n; i++) {
        set(expected, i, values);
      }
      world.allReduceSum(tensor);
      assertThat(tensor.toDoubles()).isEqualTo(expected.toDoubles());
    }
  }

  private static void fill(Tensor tensor, int rank) {
    SplittableRandom random = new SplittableRandom(rank + 1);
    for (long i = 0; i < tensor.elements(); i++) {
      if (tensor.dtype().isFloating()) {
        double scale = Math.pow(2, random.nextInt(-8, 8));
        tensor.accessor().set(i, (random.nextDouble() - 0.5) * scale);
      } else {
        tensor.accessor().setLong(i, random.nextInt());
      }
    }
  }

  private static void set(Tensor expected, int i, double[][] values) {
    double inDoubles = values[0][i];
    float inFloats = (float) values[0][i];
    long inLongs = (long) values[0][i];
    for (int r = 1; r < values.length; r++) {
      inDoubles += values[r][i];
      inFloats += (float) values[r][i];
      inLongs += (long) values[r][i];
    }
    switch (expected.dtype()) {
      case F64 -> expected.accessor().set(i, inDoubles);
      case F32 -> expected.accessor().set(i, inFloats);
      case F16 -> expected.accessor().set(i, Float16.toFloat(Float16.fromFloat(inFloats)));
      case BF16 -> expected.accessor().set(i, Bfloat16.toFloat(Bfloat16.fromFloat(inFloats)));
      case I32 -> expected.accessor().setLong(i, (int) inLongs);
      default -> expected.accessor().setLong(i, inLongs);
    }
  }
}
