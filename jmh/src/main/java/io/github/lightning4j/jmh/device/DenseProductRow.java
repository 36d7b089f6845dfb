package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.jmh.peer.CuBlas;

/** A large product of bf16 matrices by NVIDIA's library, of random values: what tensor cores do. */
final class DenseProductRow implements DeviceRow {
  static final String TITLE = "product of 8,192 x 8,192 x 8,192, bf16, by cuBLAS";

  @Override
  public String title() {
    return TITLE;
  }

  @Override
  public Goal goal() {
    return Goal.NONE;
  }

  @Override
  public Goal.Kind yardstick() {
    return Goal.Kind.MATRIX_RATE;
  }

  @Override
  public Measured measure(Scene scene) {
    int n = scene.size(8192, 32);
    CuBlas.missing()
        .ifPresent(
            reason -> {
              throw new Unmeasurable(reason);
            });
    try (CuBlas blas = new CuBlas(scene.stream())) {
      Tensor a = scene.random(DType.BF16, n, n);
      Tensor b = scene.random(DType.BF16, n, n);
      Tensor c = scene.zeros(DType.BF16, n, n);
      double operations = 2.0 * n * n * n;
      return scene.time(new Job(i -> blas.multiply(a, b, c), 1, 0, operations, false));
    }
  }
}
