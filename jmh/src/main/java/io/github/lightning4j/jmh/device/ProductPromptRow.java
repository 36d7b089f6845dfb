package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.CudaGemm;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/** Products of 4,096 tokens, on tensor cores. */
enum ProductPromptRow implements DeviceRow {
  /** What bf16 takes where cuBLASLt loads. */
  LIBRARY("bf16, cuBLASLt", Weights.BF16),
  /** What it takes elsewhere. */
  OWN("bf16, own kernel", Weights.BF16),
  /** Codes become bf16 on the way. */
  INT8(Weights.INT8.toString(), Weights.INT8),
  /** As before. */
  INT4(Weights.INT4.toString(), Weights.INT4);

  /** Elements by which rows of out are apart where cuBLASLt is not to take them. */
  private static final int ODD = 4;

  private final String name;
  private final Weights weights;

  ProductPromptRow(String name, Weights weights) {
    this.name = name;
    this.weights = weights;
  }

  @Override
  public String title() {
    return "products of 4,096 rows, N = K = 6,144, weights " + name;
  }

  @Override
  public Goal goal() {
    return switch (this) {
      case LIBRARY -> Goal.NONE;
      case OWN -> Goal.ofSpeed(0.6, LIBRARY.title(), "cuBLASLt");
      case INT8, INT4 -> Goal.ofSpeed(0.8, OWN.title(), "our bf16");
    };
  }

  @Override
  public Measured measure(Scene scene) {
    Availability library = CudaGemm.cublasLt();
    if (this == LIBRARY && !library.isAvailable()) {
      throw new Unmeasurable(library.reason());
    }
    ProductTensors tensors = new ProductTensors(scene, weights, false);
    int rows = scene.size(4096, 70);
    int size = tensors.size();
    Tensor x = scene.random(DType.BF16, rows, size);
    // cuBLASLt takes rows at multiples of 16 bytes only; the own kernel does not mind.
    int apart = this == OWN ? size + ODD : size;
    Tensor out = scene.zeros(DType.BF16, rows, apart).narrow(1, 0, size);
    double operations = 2.0 * rows * size * size;
    return scene.time(Job.ofOperations(i -> tensors.multiply(x, 0, out), operations));
  }
}
