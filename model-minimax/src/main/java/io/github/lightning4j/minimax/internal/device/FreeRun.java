package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaEvent;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.nn.CudaRowOperators;

/**
 * Greedy decode steps that need the host for nothing but to start them: each takes the tokens that
 * the one before chose.
 */
final class FreeRun {
  /** Steps before those that count. */
  static final int WARM_UP = 3;

  private final DevicePass pass;
  private final DeviceStep step;

  FreeRun(DevicePass pass, DeviceStep step) {
    this.pass = pass;
    this.step = step;
  }

  /**
   * Runs steps.
   *
   * @param count that count; {@value #WARM_UP} and one more run before
   * @return milliseconds of them together, as the GPU tells the time
   */
  float milliseconds(int count) {
    DeviceOperators on = step.operators();
    int rows = step.shape().rows();
    long vocabulary = pass.vocabulary();
    long parts = CudaRowOperators.argmaxParts(vocabulary);
    try (Tensor scratch =
        Tensor.wrap(
            CudaMemory.allocate(on.stream().device(), rows * parts * Long.BYTES),
            0,
            DType.I64,
            rows,
            parts)) {
      next(scratch); // kernels are compiled and scratch memory grows before the recording
      try (CudaGraph graph = CudaGraph.capture(on.stream(), () -> next(scratch));
          CudaEvent start = CudaEvent.open(on.stream().device());
          CudaEvent end = CudaEvent.open(on.stream().device())) {
        for (int i = 0; i < WARM_UP; i++) {
          graph.launch(on.stream());
        }
        on.stream().record(start);
        for (int i = 0; i < count; i++) {
          graph.launch(on.stream());
        }
        on.stream().record(end);
        on.stream().synchronize();
        return end.millisecondsSince(start);
      }
    }
  }

  private void next(Tensor scratch) {
    int rows = step.shape().rows();
    Tensor logits = pass.lastLogits(step, hidden -> {});
    step.operators().rows().argmax(logits, scratch, step.inputs().ids(rows));
    step.operators().steps().advance(step.inputs().positions(0, rows), 1);
    step.operators().steps().advance(step.inputs().starts(0, rows), 1);
  }
}
