package io.github.lightning4j.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.lang.ref.WeakReference;
import java.lang.reflect.Proxy;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Environment;
import org.nd4j.linalg.factory.Nd4j;

/** Tensors seen as arrays. */
final class ToArrayTest {
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  /** 0, 1, 2, .. */
  private Tensor counted(int elements) {
    float[] values = new float[elements];
    for (int i = 0; i < elements; i++) {
      values[i] = i;
    }
    return scope.add(Tensor.of(values, elements));
  }

  private static long[] of(long... values) {
    return values;
  }

  static Stream<Arguments> layouts() {
    return Stream.of(
        Arguments.of(0, of(4, 6), of(6, 1), 'c'),
        Arguments.of(7, of(4, 6), of(1, 4), 'f'),
        Arguments.of(3, of(3, 2), of(6, 2), 'c'),
        Arguments.of(1, of(3, 2), of(1, 6), 'f'),
        Arguments.of(1, of(3, 2), of(2, 9), 'f'),
        Arguments.of(5, of(2, 3, 4), of(4, 8, 1), 'c'),
        Arguments.of(5, of(2, 3, 4), of(1, 2, 6), 'f'),
        Arguments.of(0, of(2, 3, 4), of(30, 8, 2), 'c'),
        Arguments.of(2, of(2, 1, 4), of(5, 77, 1), 'c'),
        Arguments.of(9, of(4), of(3), 'c'),
        Arguments.of(9, of(1, 4), of(0, 3), 'c'),
        Arguments.of(11, of(), of(), 'c'),
        Arguments.of(11, of(1, 1), of(1, 1), 'c'));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void nd4jComputesOnEveryLayout(long offset, long[] shape, long[] strides, char ordering) {
    Tensor tensor = counted(64).strided(offset, shape, strides);
    double[] values = tensor.toDoubles();
    INDArray array = Nd4jTensors.toArray(tensor);
    assertThat(array.data().pointer().address()).isEqualTo(tensor.address());
    assertThat(array.shape()).isEqualTo(shape);
    assertThat(array.stride()).isEqualTo(strides);
    assertThat(array.ordering()).isEqualTo(ordering);
    assertThat(array.dup('c').data().asDouble()).isEqualTo(values);
    assertThat(array.dup('f').dup('c').data().asDouble()).isEqualTo(values);
    assertThat(array.add(array.dup()).div(2).dup('c').data().asDouble()).isEqualTo(values);
    assertThat(array.sumNumber().doubleValue()).isEqualTo(sum(tensor));
    if (shape.length == 2) {
      INDArray one = Nd4j.eye(shape[1]).castTo(DataType.FLOAT);
      assertThat(array.mmul(one).dup('c').data().asDouble()).isEqualTo(values);
    }
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void whatOneSideWritesTheOtherReads(long offset, long[] shape, long[] strides) {
    Tensor whole = counted(64);
    Tensor tensor = whole.strided(offset, shape, strides);
    INDArray array = Nd4jTensors.toArray(tensor);
    double untouched = sum(whole) - sum(tensor);
    array.muli(0);
    assertThat(tensor.toFloats()).containsOnly(0);
    assertThat(sum(whole)).isEqualTo(untouched);
    tensor.accessor().set(0, 8);
    assertThat(array.maxNumber().doubleValue()).isEqualTo(8);
  }

  private static double sum(Tensor tensor) {
    return DoubleStream.of(tensor.toDoubles()).sum();
  }

  @Test
  void emptyTensors() {
    INDArray array = Nd4jTensors.toArray(scope.allocate(DType.I32, 2, 0));
    assertThat(array.isEmpty()).isTrue();
    assertThat(array.dataType()).isEqualTo(DataType.INT32);
    assertThat(array.shape()).containsExactly(2, 0);
    assertThat(Nd4jTensors.toArray(counted(4).narrow(0, 4, 0)).shape()).containsExactly(0);
  }

  @Test
  void rowsGigabytesApart() {
    long apart = (1L << 31) + 16;
    Tensor memory = scope.allocate(DType.I8, apart + 8);
    Tensor tensor = memory.strided(5, of(2, 3), of(apart, 1));
    INDArray array = Nd4jTensors.toArray(tensor);
    array.addi(3).putScalar(1, 2, -4);
    assertThat(tensor.toLongs()).containsExactly(3, 3, 3, 3, 3, -4);
    Tensor back = Nd4jTensors.toTensor(array.getRow(1));
    assertThat(back.address()).isEqualTo(memory.address() + 5 + apart);
    assertThat(back.toLongs()).containsExactly(3, 3, -4);
  }

  @Test
  void readOnlyTensorsAreRefused() {
    Memory mapped = Memory.wrapReadOnly(counted(4).address(), 16, () -> {});
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Nd4jTensors.toArray(Tensor.view(mapped, 0, DType.F32, 4)))
        .withMessageStartingWith("tensor: expected memory that can be written")
        .withMessageEndingWith("copy it first");
  }

  @Test
  void closedTensors() {
    Tensor tensor = Tensor.allocate(DType.F32, 2);
    Tensor view = tensor.narrow(0, 0, 0);
    tensor.close();
    for (Tensor closed : new Tensor[] {tensor, view}) {
      assertThatIllegalStateException()
          .isThrownBy(() -> Nd4jTensors.toArray(closed))
          .withMessage("tensor: closed, its memory is gone");
    }
  }

  @Test
  void rowsThatOverlapAreRefused() {
    Tensor memory = counted(16);
    for (long[] strides : new long[][] {{0, 1}, {1, 0}, {1, 1}, {2, 3}, {1, 2}}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Nd4jTensors.toArray(memory.strided(0, of(3, 2), strides)))
          .withMessageStartingWith("tensor: expected rows that lie apart, got shape [3, 2]");
    }
  }

  @Test
  void oddAddressesAreRefused() {
    Memory memory = scope.add(Memory.allocate(64));
    for (DType dtype : DType.values()) {
      Tensor odd = Tensor.view(memory, 1, dtype, 3);
      if (dtype.bytes() == 1) {
        assertThat(Nd4jTensors.toArray(odd).length()).isEqualTo(3);
      } else {
        assertThatIllegalArgumentException()
            .isThrownBy(() -> Nd4jTensors.toArray(odd))
            .withMessageStartingWith(
                "tensor: expected an address that is a multiple of " + dtype.bytes() + ", got 0x");
      }
    }
  }

  @Test
  void backendsForGpusAreRefused() {
    assertThatIllegalStateException()
        .isThrownBy(() -> Nd4jTensors.requireCpu(environment(false)))
        .withMessageStartingWith("ND4J: expected a CPU backend");
    Nd4jTensors.requireCpu(environment(true));
  }

  private static Environment environment(boolean cpu) {
    return (Environment)
        Proxy.newProxyInstance(
            ToArrayTest.class.getClassLoader(),
            new Class<?>[] {Environment.class},
            (proxy, method, arguments) -> method.getName().equals("isCPU") ? cpu : null);
  }

  @Test
  void theArrayAndItsViewsKeepTheTensor() throws InterruptedException {
    Tensor owner = counted(24);
    Tensor tensor = Tensor.wrap(owner.pointer(), DType.F32, 4, 6);
    WeakReference<Tensor> watched = new WeakReference<>(tensor);
    INDArray row = Nd4jTensors.toArray(tensor).getRow(2);
    tensor = null;
    Collected.afterSomeTime(watched);
    assertThat(watched.get()).isNotNull();
    assertThat(row.toFloatVector()).containsExactly(12, 13, 14, 15, 16, 17);
    row = null;
    assertThat(Collected.afterSomeTime(watched)).isTrue();
  }

  @Test
  void closingAnArrayDoesNotFreeTheTensor() {
    Tensor tensor = counted(8);
    Nd4jTensors.toArray(tensor).close();
    assertThat(tensor.toFloats()).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
    // The scope frees it; a second free of that memory would end the process.
  }

  @Test
  void nothingIsLeftBehind() {
    FlatMemory.assertFlat(
        "there and back",
        10_000,
        () -> {
          try (Tensor tensor = Tensor.allocate(DType.F32, 4, 4)) {
            Nd4jTensors.toTensor(Nd4jTensors.toArray(tensor));
          }
        });
  }
}
