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
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
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

  @ParameterizedTest
  @CsvSource({
    "DOUBLE, F64",
    "FLOAT, F32",
    "HALF, F16",
    "BFLOAT16, BF16",
    "LONG, I64",
    "INT, I32",
    "BYTE, I8",
    "UBYTE, U8",
    "BOOL, BOOL"
  })
  void elementTypes(DataType type, DType expected) {
    INDArray whole = Nd4j.zeros(type, 2, 3);
    INDArray view = whole.get(NDArrayIndex.all(), NDArrayIndex.interval(1, 3));
    Tensor tensor = Nd4jTensors.toTensor(view);
    assertThat(tensor.dtype()).isEqualTo(expected);
    view.putScalar(1, 1, 1);
    tensor.accessor().set(0, 1);
    assertThat(tensor.toDoubles()).containsExactly(1, 0, 0, 1);
    assertThat(whole.castTo(DataType.DOUBLE).data().asDouble()).containsExactly(0, 1, 0, 0, 0, 1);
  }

  @Test
  void signsOfBytes() {
    INDArray signed = Nd4j.createFromArray(new byte[] {-3});
    assertThat(Nd4jTensors.toTensor(signed).toLongs()).containsExactly(-3);
    INDArray unsigned = Nd4j.createFromArray(253).castTo(DataType.UINT8);
    assertThat(Nd4jTensors.toTensor(unsigned).toLongs()).containsExactly(253);
  }

  @ParameterizedTest
  @EnumSource(
      value = DataType.class,
      mode = Mode.INCLUDE,
      names = {"SHORT", "UINT16", "UINT32", "UINT64", "UTF8"})
  void otherElementTypesAreRefusedByName(DataType type) {
    INDArray array = type == DataType.UTF8 ? Nd4j.create("a") : Nd4j.zeros(type, 2);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toTensor(array))
        .withMessageStartingWith("array: expected dtype DOUBLE, FLOAT, HALF, BFLOAT16, ")
        .withMessageEndingWith("got " + type);
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
