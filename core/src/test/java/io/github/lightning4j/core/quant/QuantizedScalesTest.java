package io.github.lightning4j.core.quant;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.QuantStore;
import io.github.lightning4j.core.testkit.Cases;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scales that a file may hold and quantizing never gives. */
final class QuantizedScalesTest {
  private static final int NAN = 0x7fc0;
  private static final int NEGATIVE_INFINITY = 0xff80;

  @ParameterizedTest
  @CsvSource({"8, 0, 0", "8, 3, 2", "4, 6, 1", "4, 4, 0"})
  void everyScaleOfAnImageIsRead(int bits, int row, int block) {
    QuantFormat format = bits == 8 ? QuantFormat.int8(32) : QuantFormat.int4(32);
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(bits, DType.F32, 7, 70));
      QuantizedMatrix matrix = scope.add(QuantizedMatrix.quantize(w, format));
      assertThatCode(matrix::checkScales).doesNotThrowAnyException();
      long at = QuantStore.scalesAt(format, 7, 70);
      at += 2 * (row * QuantStore.blocks(format, 70) + block);
      for (int bf16 : new int[] {NAN, NEGATIVE_INFINITY}) {
        matrix.image().accessor().setLong(at, bf16 & 0xff);
        matrix.image().accessor().setLong(at + 1, bf16 >> 8);
        assertThatThrownBy(matrix::checkScales)
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessage(
                "scale of row %s from column %s on: expected a finite number, got %s",
                row, 32 * block, bf16 == NAN ? "NaN" : "-Infinity");
      }
    }
  }
}
