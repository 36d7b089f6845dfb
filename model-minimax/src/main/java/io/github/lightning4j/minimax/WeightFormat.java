package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.quant.QuantFormat;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How the weight matrices of a role are held in memory. */
public final class WeightFormat {
  /** As the checkpoint has them, mapped and not copied. */
  public static final WeightFormat STORED = new WeightFormat("stored", null);

  /** bf16; mapped where the checkpoint has it, else rounded to the nearest, ties to even. */
  public static final WeightFormat BF16 = new WeightFormat("bf16", null);

  /** 8 bits, a scale for each 128 weights of a row. */
  public static final WeightFormat INT8 = quantized(QuantFormat.int8(128));

  /** 4 bits, a scale and a zero point for each 64 weights of a row. */
  public static final WeightFormat INT4 = quantized(QuantFormat.int4(64));

  /** The name where one scale serves a whole row. */
  private static final String ROWS = "int8/row";

  private final String name;
  private final @Nullable QuantFormat coding;

  private WeightFormat(String name, @Nullable QuantFormat coding) {
    this.name = name;
    this.coding = coding;
  }

  /** Quantized in a certain way. */
  public static WeightFormat quantized(QuantFormat coding) {
    return new WeightFormat(coding.isWholeRow() ? ROWS : coding.toString(), coding);
  }

  /**
   * The format of a name: {@code bf16}, {@code int8}, {@code int4}, {@code stored}, or a format
   * with another group, such as {@code int4/32}.
   *
   * @throws IllegalArgumentException if there is none of that name
   */
  public static WeightFormat parse(String name) {
    switch (name) {
      case "stored":
        return STORED;
      case "bf16":
        return BF16;
      case "int8":
        return INT8;
      case "int4":
        return INT4;
      case ROWS:
        return quantized(QuantFormat.int8());
      default:
        checkArgument(
            name.matches("int[48]/\\d+"),
            "weights: expected one of bf16, int8, int4 (also with a group, as in int4/32), got '%s'",
            name);
        return quantized(QuantFormat.parse(name));
    }
  }

  /** How weights are coded; empty if they are not quantized. */
  public Optional<QuantFormat> coding() {
    return Optional.ofNullable(coding);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof WeightFormat that && name.equals(that.name);
  }

  @Override
  public int hashCode() {
    return name.hashCode();
  }

  /** What {@link #parse} reads, with the group where it is quantized. */
  @Override
  public String toString() {
    return name;
  }
}
