package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.quant.QuantFormat;
import org.jspecify.annotations.Nullable;

/** How weights are held, as the model holds them under {@code --weights}. */
enum Weights {
  /** Plain. */
  BF16(null),
  /** Codes of 8 bits. */
  INT8(QuantFormat.int8(128)),
  /** Codes of 4 bits. */
  INT4(QuantFormat.int4(64));

  private final @Nullable QuantFormat format;

  Weights(@Nullable QuantFormat format) {
    this.format = format;
  }

  /** The codes; null for bf16. */
  @Nullable QuantFormat format() {
    return format;
  }

  @Override
  public String toString() {
    return format == null ? "bf16" : format.toString();
  }
}
