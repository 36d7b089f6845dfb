package io.github.lightning4j.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Every element type, both ways, at the ends of its range, in views that start and step apart. */
final class ElementTypesTest {
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  /** An ND4J type, ours, and six values that both hold exactly. */
  static Stream<Arguments> types() {
    double nan = Double.NaN;
    double infinity = Double.POSITIVE_INFINITY;
    return Stream.of(
        row(DataType.DOUBLE, DType.F64, Double.MAX_VALUE, Double.MIN_VALUE, -0.1, 0, nan, infinity),
        row(DataType.FLOAT, DType.F32, Float.MAX_VALUE, Float.MIN_VALUE, -0.1f, 0, nan, infinity),
        row(DataType.FLOAT16, DType.F16, 65504, 0x1p-24, -0x1.554p-2, 0, nan, -infinity),
        row(DataType.BFLOAT16, DType.BF16, 0x1.fep127, 0x1p-126, -0x1.02p0, 0, nan, -infinity),
        row(DataType.INT64, DType.I64, 1L << 62, Long.MIN_VALUE, -1, 0, 1, 1L << 33),
        row(DataType.INT32, DType.I32, Integer.MAX_VALUE, Integer.MIN_VALUE, -1, 0, 1, 1 << 24 | 1),
        row(DataType.INT8, DType.I8, 127, -128, -1, 0, 1, 2),
        row(DataType.INT16, DType.I16, 32767, -32768, -1, 0, 1, 256),
        row(DataType.UINT64, DType.U64, 0x1.fffffffffffffp62, 1L << 62, 255, 0, 1, 1L << 33),
        row(DataType.UINT32, DType.U32, 4294967295.0, 0x1p31, 1 << 30, 0, 1, 1 << 24 | 1),
        row(DataType.UINT16, DType.U16, 65535, 32768, 32767, 0, 1, 256),
        row(DataType.UINT8, DType.U8, 255, 128, 127, 0, 1, 2),
        row(DataType.BOOL, DType.BOOL, 1, 0, 1, 0, 0, 1));
  }

  private static Arguments row(DataType type, DType dtype, double... values) {
    return Arguments.of(type, dtype, values);
  }

  /** Ways to have a [2, 3] array: dense, columns first, a block within, permuted, every second. */
  private static final List<BiFunction<DataType, long[], INDArray>> ARRAYS =
      List.of(
          (type, shape) -> Nd4j.create(type, shape, 'c'),
          (type, shape) -> Nd4j.create(type, shape, 'f'),
          (type, shape) -> block(Nd4j.create(type, new long[] {4, 5}, 'c')),
          (type, shape) -> block(Nd4j.create(type, new long[] {4, 5}, 'f')),
          (type, shape) -> block(Nd4j.create(type, 5, 4).permute(1, 0)),
          (type, shape) ->
              Nd4j.create(type, 4, 7)
                  .get(NDArrayIndex.interval(0, 2, 4), NDArrayIndex.interval(1, 2, 7)));

  private static INDArray block(INDArray whole) {
    return whole.get(NDArrayIndex.interval(1, 3), NDArrayIndex.interval(2, 5));
  }

  @ParameterizedTest
  @MethodSource("types")
  void fromArraysToTensors(DataType type, DType dtype, double[] values) {
    for (BiFunction<DataType, long[], INDArray> layout : ARRAYS) {
      INDArray array = layout.apply(type, new long[] {2, 3});
      Tensor tensor = Nd4jTensors.toTensor(array);
      assertThat(tensor.dtype()).isEqualTo(dtype);
      assertShared(array, tensor, values);
    }
  }

  @ParameterizedTest
  @MethodSource("types")
  void fromTensorsToArrays(DataType type, DType dtype, double[] values) {
    Tensor whole = scope.allocate(dtype, 4, 5);
    Tensor columns = scope.allocate(dtype, 8).strided(1, new long[] {2, 3}, new long[] {1, 2});
    for (Tensor tensor : new Tensor[] {whole.narrow(0, 1, 2).narrow(1, 2, 3), columns}) {
      INDArray array = Nd4jTensors.toArray(tensor);
      assertThat(array.dataType()).isEqualTo(type);
      assertShared(array, tensor, values);
      Tensor back = Nd4jTensors.toTensor(array);
      assertThat(back.address()).isEqualTo(tensor.address());
      assertThat(back.toString()).isEqualTo(tensor.toString());
      assertThat(Layout.strides(back)).isEqualTo(Layout.strides(tensor));
    }
  }

  /** What the tensor writes ND4J reads, by element and by kernel; and the other way round. */
  private void assertShared(INDArray array, Tensor tensor, double[] values) {
    tensor.copyFrom(scope.add(Tensor.of(values, 2, 3)));
    assertThat(elements(array)).as("%s", array.dataType()).isEqualTo(values);
    assertThat(Nd4jTensors.toTensor(array.dup('c')).toDoubles()).isEqualTo(values);
    double[] others = values.clone();
    others[0] = values[1];
    others[1] = values[0];
    for (int i = 0; i < others.length; i++) {
      array.putScalar(i / 3, i % 3, others[i]);
    }
    assertThat(tensor.toDoubles()).as("%s", array.dataType()).isEqualTo(others);
    array.assign(0);
    assertThat(tensor.toDoubles()).containsOnly(0);
  }

  private static double[] elements(INDArray array) {
    double[] elements = new double[6];
    Arrays.setAll(elements, i -> array.getDouble(i / 3, i % 3));
    return elements;
  }

  @Test
  void longsKeepAllTheirBits() {
    long[] values = {Long.MAX_VALUE, Long.MIN_VALUE, (1L << 53) + 1};
    INDArray array = Nd4jTensors.toArray(scope.add(Tensor.of(values, 3)));
    assertThat(array.dup().toLongVector()).isEqualTo(values);
    assertThat(Nd4jTensors.toTensor(Nd4j.createFromArray(values)).toLongs()).isEqualTo(values);
  }

  @Test
  void unsignedLongsKeepAllTheirBits() {
    long[] bits = {-1, Long.MIN_VALUE, Long.MIN_VALUE + 1, Long.MAX_VALUE};
    Tensor tensor = scope.allocate(DType.U64, 4);
    for (int i = 0; i < bits.length; i++) {
      tensor.pointer().putLong(i * 8L, bits[i]);
    }
    INDArray array = Nd4jTensors.toArray(tensor);
    assertThat(Nd4jTensors.toTensor(array).address()).isEqualTo(tensor.address());
    assertThat(Nd4jTensors.toTensor(array.dup()).toLongs()).isEqualTo(bits);
    assertThat(Nd4jTensors.toTensor(array.castTo(DataType.DOUBLE)).toDoubles())
        .containsExactly(0x1p64, 0x1p63, 0x1p63, 0x1p63);
    assertThat(array.getDouble(1)).as("ND4J reads single elements as signed").isEqualTo(-0x1p63);
  }

  @ParameterizedTest
  @EnumSource
  void everyTypeOfNd4jHasOneOfATensorOrIsRefused(DataType type) {
    if (Set.of(DataType.UTF8, DataType.COMPRESSED, DataType.UNKNOWN).contains(type)) {
      assertThatIllegalArgumentException().isThrownBy(() -> ElementTypes.of(type));
    } else {
      assertThat(ElementTypes.of(ElementTypes.of(type))).isEqualTo(type);
    }
  }

  @ParameterizedTest
  @EnumSource
  void everyTypeOfATensorHasOneOfNd4j(DType dtype) {
    assertThat(ElementTypes.of(ElementTypes.of(dtype))).isEqualTo(dtype);
  }
}
