package io.github.lightning4j.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.lang.ref.WeakReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Arrays seen as tensors. */
final class ToTensorTest {
  /** [[0, 1, .. 5], [6, ..], ..] */
  private static INDArray matrix() {
    return Nd4j.arange(24).castTo(DataType.FLOAT).reshape(4, 6);
  }

  static Stream<INDArray> layouts() {
    INDArray whole = matrix();
    INDArray block = whole.get(NDArrayIndex.interval(1, 4), NDArrayIndex.interval(1, 3));
    return Stream.of(
        whole,
        whole.dup('f'),
        whole.transpose(),
        whole.getRow(2),
        whole.getColumn(3),
        whole.getScalar(2, 3),
        whole.slice(1),
        block,
        block.transpose(),
        block.get(NDArrayIndex.interval(1, 3), NDArrayIndex.all()), // a view of a view
        whole.get(NDArrayIndex.interval(0, 2, 4), NDArrayIndex.interval(1, 2, 6)),
        whole.reshape(2, 3, 4).permute(2, 0, 1),
        Nd4j.scalar(7f),
        Nd4j.rand(DataType.FLOAT, 1, 5, 1));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void everyElementLiesWhereNd4jHasIt(INDArray array) {
    Tensor tensor = Nd4jTensors.toTensor(array);
    assertThat(tensor.dtype()).isEqualTo(DType.F32);
    assertThat(tensor.shape()).isEqualTo(array.shape());
    assertThat(Layout.strides(tensor)).isEqualTo(array.stride());
    // addressPointer() is ND4J's own word for where a view begins.
    assertThat(tensor.address()).isEqualTo(array.data().addressPointer().address());
    assertThat(tensor.toDoubles()).isEqualTo(array.dup('c').data().asDouble());
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void whatOneSideWritesTheOtherReads(INDArray array) {
    Tensor tensor = Nd4jTensors.toTensor(array);
    array.addi(100);
    assertThat(tensor.toDoubles()).isEqualTo(array.dup('c').data().asDouble());
    long last = Layout.span(tensor.shape(), Layout.strides(tensor)) - 1;
    tensor.accessor().set(last, -5);
    double[] seen = array.dup('c').data().asDouble();
    assertThat(seen[seen.length - 1]).isEqualTo(-5);
  }

  @Test
  void writingIntoAViewLeavesItsNeighboursAlone() {
    INDArray whole = Nd4j.zeros(DataType.FLOAT, 3, 3);
    INDArray middle = whole.getColumn(1);
    try (Tensor ones = Tensor.of(new float[] {1, 2, 3}, 3)) {
      Nd4jTensors.toTensor(middle).copyFrom(ones);
    }
    assertThat(whole.data().asFloat()).containsExactly(0, 1, 0, 0, 2, 0, 0, 3, 0);
  }

  @Test
  void stringsAreRefused() {
    INDArray array = Nd4j.create("a");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toTensor(array))
        .withMessage(
            "array: expected dtype DOUBLE, FLOAT, HALF, BFLOAT16, LONG, INT, SHORT, BYTE, UINT64,"
                + " UINT32, UINT16, UBYTE or BOOL, got UTF8");
  }

  @Test
  void emptyArrays() {
    Tensor tensor = Nd4jTensors.toTensor(Nd4j.create(DataType.INT64, 2, 0, 3));
    assertThat(tensor.dtype()).isEqualTo(DType.I64);
    assertThat(tensor.shape()).containsExactly(2, 0, 3);
    assertThat(tensor.toLongs()).isEmpty();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toTensor(Nd4j.empty(DataType.FLOAT)))
        .withMessage("array: expected a shape with a 0 in it, got an empty array of rank 0");
  }

  @Test
  void emptyViews() {
    INDArray none = matrix().get(NDArrayIndex.interval(1, 1), NDArrayIndex.all());
    assertThat(Nd4jTensors.toTensor(none).shape()).containsExactly(0, 6);
  }

  @Test
  void repeatedRows() {
    INDArray rows = Nd4j.create(matrix().data(), new long[] {2, 3}, new long[] {0, 1}, 5, 'c');
    assertThat(Nd4jTensors.toTensor(rows).toFloats()).containsExactly(5, 6, 7, 5, 6, 7);
  }

  @Test
  void negativeStridesAreRefused() {
    INDArray back = Nd4j.create(matrix().data(), new long[] {2, 3}, new long[] {3, -1}, 5, 'c');
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toTensor(back))
        .withMessage("array: expected strides >= 0, got [3, -1]");
  }

  @ParameterizedTest
  @CsvSource({"6, 20, 4", "7, 0, 24", "4611686018427387904, 0, 24"})
  void stridesThatLeaveTheBufferAreRefused(long stride, long offset, int left) {
    INDArray wild =
        Nd4j.create(matrix().data(), new long[] {4, 6}, new long[] {stride, 1}, offset, 'c');
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toTensor(wild))
        .withMessage(
            "array: expected shape [4, 6] with strides [%s, 1] to stay within the %s elements of"
                + " its buffer",
            stride, left);
  }

  @Test
  void arraysOfAWorkspaceLiveUntilItIsLeft() {
    WorkspaceConfiguration size = WorkspaceConfiguration.builder().initialSize(1 << 16).build();
    INDArray array;
    INDArray view;
    INDArray detached;
    try (MemoryWorkspace workspace =
        Nd4j.getWorkspaceManager().getAndActivateWorkspace(size, "ToTensorTest")) {
      array = matrix().addi(1);
      view = array.getRow(1);
      detached = view.detach();
      assertThat(array.data().getParentWorkspace()).isSameAs(workspace);
      assertThat(Nd4jTensors.toTensor(view).toFloats()).containsExactly(7, 8, 9, 10, 11, 12);
    }
    assertLeft(array, view);
    try (MemoryWorkspace again =
        Nd4j.getWorkspaceManager().getAndActivateWorkspace(size, "ToTensorTest")) {
      INDArray next = matrix();
      assertThat(next.data().getParentWorkspace()).isSameAs(again);
      assertThat(Nd4jTensors.toTensor(next).toFloats()).hasSize(24);
      assertLeft(array, view);
    }
    assertThat(Nd4jTensors.toTensor(detached).toFloats()).containsExactly(7, 8, 9, 10, 11, 12);
  }

  private static void assertLeft(INDArray... arrays) {
    for (INDArray array : arrays) {
      assertThatIllegalStateException()
          .isThrownBy(() -> Nd4jTensors.toTensor(array))
          .withMessage("array: its workspace was left; detach() it inside of that");
    }
  }

  @Test
  void closedArrays() {
    INDArray array = Nd4j.zeros(2, 2);
    INDArray row = array.getRow(1);
    array.close();
    for (INDArray closed : new INDArray[] {array, row}) {
      assertThatIllegalStateException()
          .isThrownBy(() -> Nd4jTensors.toTensor(closed))
          .withMessage("array: closed, its memory is gone");
    }
  }

  @Test
  void theTensorIsAViewThatNobodyCloses() {
    Tensor tensor = Nd4jTensors.toTensor(matrix());
    assertThatIllegalStateException()
        .isThrownBy(tensor::close)
        .withMessageStartingWith("a view is closed through its owner");
  }

  @Test
  void theTensorKeepsTheArray() throws InterruptedException {
    INDArray array = matrix();
    WeakReference<INDArray> watched = new WeakReference<>(array);
    Tensor view = Nd4jTensors.toTensor(array).narrow(0, 3, 1);
    array = null;
    Collected.afterSomeTime(watched);
    assertThat(watched.get()).isNotNull();
    assertThat(view.toFloats()).containsExactly(18, 19, 20, 21, 22, 23);
    view = null;
    assertThat(Collected.afterSomeTime(watched)).isTrue();
  }
}
