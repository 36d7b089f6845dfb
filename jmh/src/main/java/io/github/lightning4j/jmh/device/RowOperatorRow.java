package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.CudaRowOperators;

/** An operator over the rows of activations, as a large step has them. */
enum RowOperatorRow implements DeviceRow {
  /** One operand read. */
  RMS_NORM("RMS norm", 2) {
    @Override
    void run(CudaRowOperators operators, Set set) {
      operators.rmsNorm(set.x, set.weight, 1e-6f, set.out);
    }
  },
  /** Two operands read. */
  SCALED_SUM("scaled sum", 3) {
    @Override
    void run(CudaRowOperators operators, Set set) {
      operators.scaledSum(set.x, 1, set.y, 0.5f, set.out);
    }
  },
  /** Two operands read. */
  SILU_GATE("SwiGLU gate", 3) {
    @Override
    void run(CudaRowOperators operators, Set set) {
      operators.siluGate(set.x, set.y, set.out);
    }
  };

  private final String name;
  private final int operands;

  RowOperatorRow(String name, int operands) {
    this.name = name;
    this.operands = operands;
  }

  /** The tensors of one step. */
  record Set(Tensor x, Tensor y, Tensor weight, Tensor out) {}

  abstract void run(CudaRowOperators operators, Set set);

  @Override
  public String title() {
    return name + ", 4,096 rows of 6,144 channels, bf16";
  }

  @Override
  public Goal goal() {
    return Goal.ofBandwidth(0.8);
  }

  @Override
  public Measured measure(Scene scene) {
    long rows = scene.size(4096, 5);
    long channels = scene.size(6144, 24);
    double bytes = 2.0 * operands * rows * channels;
    Set[] sets = new Set[scene.variants((long) bytes)];
    for (int i = 0; i < sets.length; i++) {
      Tensor x = scene.random(DType.BF16, rows, channels);
      Tensor y = scene.random(DType.BF16, rows, channels);
      Tensor weight = scene.random(DType.BF16, channels);
      sets[i] = new Set(x, y, weight, scene.zeros(DType.BF16, rows, channels));
    }
    CudaRowOperators operators = CudaRowOperators.on(scene.stream());
    return scene.time(Job.ofBytes(i -> run(operators, sets[i]), sets.length, bytes));
  }
}
