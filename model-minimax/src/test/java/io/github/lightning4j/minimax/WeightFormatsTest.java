package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.quant.QuantFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class WeightFormatsTest {
  @Test
  void oneFormatServesAllRoles() {
    assertThat(WeightFormats.parse("int8")).isEqualTo(WeightFormats.of(WeightFormat.INT8));
    assertThat(WeightFormats.parse("bf16")).isEqualTo(WeightFormats.of(WeightFormat.BF16));
    assertThat(WeightFormat.INT4.coding()).contains(QuantFormat.int4(64));
    assertThat(WeightFormat.BF16.coding()).isEmpty();
  }

  @Test
  void rolesHaveTheirOwn() {
    WeightFormats formats = WeightFormats.parse(" int4, head=int8 ,embedding=bf16");
    assertThat(formats.experts()).isEqualTo(WeightFormat.INT4);
    assertThat(formats.attention()).isEqualTo(WeightFormat.INT4);
    assertThat(formats.head()).isEqualTo(WeightFormat.INT8);
    assertThat(formats.embedding()).isEqualTo(WeightFormat.BF16);
    assertThat(formats.of(WeightRole.HEAD)).isEqualTo(WeightFormat.INT8);
    assertThat(formats.of(WeightRole.ROUTER)).isEqualTo(WeightFormat.STORED);
    assertThat(WeightFormats.parse("experts=int4/128"))
        .isEqualTo(
            new WeightFormats(
                WeightFormat.quantized(QuantFormat.int4(128)),
                WeightFormat.STORED,
                WeightFormat.STORED,
                WeightFormat.STORED));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "stored",
        "bf16",
        "int8",
        "int4/64",
        "int8/row",
        "int4,head=int8/32,attention=bf16"
      })
  void areReadAsTheyAreWritten(String text) {
    WeightFormats formats = WeightFormats.parse(text);
    assertThat(WeightFormats.parse(formats.toString())).isEqualTo(formats);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          int3                | expected one of bf16, int8, int4 (also with a group, as in int4/32), got 'int3'
          ''                  | got ''
          int4,               | a format for all roles is told twice in 'int4,'
          INT4                | got 'INT4'
          int4/33             | group: expected 32, 64 or 128
          int4,int8           | a format for all roles is told twice in 'int4,int8'
          head=int4,head=int8 | a format for head is told twice
          router=int4         | expected a role among experts, attention, head, embedding, got 'router'
          head=               | got ''
          head=int4=int8      | got 'int4=int8'
          """)
  void whatCannotBeIsRefused(String text, String message) {
    assertThatThrownBy(() -> WeightFormats.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
