package io.github.lightning4j.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** An operator reads and writes the memory of arrays. */
final class OperatorTest {
  /** Small whole numbers, so that every product and sum is exact. */
  private static INDArray numbers(int rows, int columns) {
    return Nd4j.arange(rows * columns)
        .fmodi(7)
        .subi(3)
        .castTo(DataType.FLOAT)
        .reshape(rows, columns);
  }

  @ParameterizedTest
  @CsvSource({"FLOAT, 1", "FLOAT, 33", "BFLOAT16, 3", "HALF, 33"})
  void matrixProduct(DataType weights, int rows) {
    INDArray x = numbers(rows, 65);
    INDArray w = numbers(31, 65);
    INDArray out = Nd4j.zeros(DataType.FLOAT, rows, 31);
    Gemm.best()
        .multiply(
            Nd4jTensors.toTensor(x),
            Nd4jTensors.toTensor(w.castTo(weights)),
            Nd4jTensors.toTensor(out));
    assertThat(out).isEqualTo(x.mmul(w.transpose()));
    assertThat(out.norm1Number().doubleValue()).isPositive();
  }

  @Test
  void matrixProductOfViewsIntoAView() {
    INDArray x = numbers(8, 20).get(NDArrayIndex.interval(1, 2, 8), NDArrayIndex.interval(3, 12));
    INDArray w = numbers(9, 5).transpose().dup('c');
    INDArray whole = Nd4j.ones(DataType.FLOAT, 6, 7);
    INDArray out = whole.get(NDArrayIndex.interval(1, 5), NDArrayIndex.interval(1, 6));
    Gemm.best()
        .multiply(Nd4jTensors.toTensor(x), Nd4jTensors.toTensor(w), Nd4jTensors.toTensor(out));
    INDArray expected = Nd4j.ones(DataType.FLOAT, 6, 7);
    expected
        .get(NDArrayIndex.interval(1, 5), NDArrayIndex.interval(1, 6))
        .assign(x.mmul(w.transpose()));
    assertThat(whole).isEqualTo(expected);
  }

  @Test
  void columnMajorArraysAreRefusedByTheOperatorNotMisread() {
    Tensor columns = Nd4jTensors.toTensor(numbers(4, 6).dup('f'));
    Tensor out = Nd4jTensors.toTensor(Nd4j.zeros(DataType.FLOAT, 4, 4));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Gemm.best().multiply(columns, columns, out))
        .withMessage("a: expected a last dimension of stride 1, got stride 4");
  }
}
