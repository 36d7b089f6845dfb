package io.github.lightning4j.core.kernel;

import java.util.Arrays;
import java.util.Locale;

/**
 * How fp32 activations meet bf16 weights where the CPU multiplies bf16 by bf16 ({@link Isa#AMX}):
 * as the sum of so many bf16, each the rounded rest of those before it. A part costs a product.
 * Elsewhere products are of fp32.
 */
public enum Bf16Products {
  /**
   * 8 bits of an activation: off by 2<sup>-9</sup> of it, as in frameworks that compute in bf16.
   */
  BF16(1),
  /** 16 bits: off by 2<sup>-18</sup>. */
  BF16X2(2),
  /** 24 bits, all of an fp32. The default. */
  BF16X3(3);

  /** The system property that chooses. */
  public static final String PROPERTY = "lightning4j.cpu.bf16_products";

  private final int parts;

  Bf16Products(int parts) {
    this.parts = parts;
  }

  /** The number of bf16 that an activation becomes. */
  public int parts() {
    return parts;
  }

  /**
   * What is asked for.
   *
   * @throws IllegalArgumentException if the property has another value than the names of these, in
   *     either case
   */
  public static Bf16Products chosen() {
    String wanted = System.getProperty(PROPERTY);
    if (wanted == null) {
      return BF16X3;
    }
    for (Bf16Products products : values()) {
      if (products.name().equals(wanted.toUpperCase(Locale.ROOT))) {
        return products;
      }
    }
    throw new IllegalArgumentException(
        PROPERTY + ": expected one of " + Arrays.toString(values()) + ", got " + wanted);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
