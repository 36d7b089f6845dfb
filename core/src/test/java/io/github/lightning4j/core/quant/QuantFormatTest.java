package io.github.lightning4j.core.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class QuantFormatTest {
  @Test
  void formatsAreReadAsTheyAreWritten() {
    assertThat(QuantizerContract.formats())
        .allSatisfy(format -> assertThat(QuantFormat.parse(format.toString())).isEqualTo(format));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "int", "int3", "int4", "int4/33", "int8/", "int8/1000", "INT8"})
  void unknownFormatsAreRefused(String text) {
    assertThatThrownBy(() -> QuantFormat.parse(text)).isInstanceOf(IllegalArgumentException.class);
  }
}
