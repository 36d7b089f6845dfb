package io.github.lightning4j.core;

import java.util.Locale;

/**
 * Element types of tensors, named as in the safetensors format. Native code knows the floating
 * types by their ordinals.
 */
public enum DType {
  /** IEEE 754 binary64. */
  F64(8, true),
  /** IEEE 754 binary32. */
  F32(4, true),
  /** IEEE 754 binary16. */
  F16(2, true),
  /** The upper half of a binary32: 8 exponent and 7 fraction bits. */
  BF16(2, true),
  /** Signed 64-bit integer. */
  I64(8, false),
  /** Signed 32-bit integer. */
  I32(4, false),
  /** Signed 8-bit integer. */
  I8(1, false),
  /** Unsigned 8-bit integer. */
  U8(1, false),
  /** One byte, 0 or 1. */
  BOOL(1, false),
  /** Signed 16-bit integer. */
  I16(2, false),
  /** Unsigned 16-bit integer. */
  U16(2, false),
  /** Unsigned 32-bit integer. */
  U32(4, false),
  /** Unsigned 64-bit integer. */
  U64(8, false);

  private final int bytes;
  private final boolean floating;

  DType(int bytes, boolean floating) {
    this.bytes = bytes;
    this.floating = floating;
  }

  /** Bytes an element takes. */
  public int bytes() {
    return bytes;
  }

  /** Whether this is one of the floating-point types. */
  public boolean isFloating() {
    return floating;
  }

  /**
   * The type with this safetensors name.
   *
   * @throws IllegalArgumentException if no such type is supported; the message lists those that are
   */
  public static DType of(String name) {
    for (DType type : values()) {
      if (type.name().equals(name.toUpperCase(Locale.ROOT))) {
        return type;
      }
    }
    throw new IllegalArgumentException(
        "dtype: unknown '" + name + "', expected one of " + java.util.Arrays.toString(values()));
  }
}
