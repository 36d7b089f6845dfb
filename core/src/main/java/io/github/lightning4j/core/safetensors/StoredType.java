package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.DType;
import org.jspecify.annotations.Nullable;

/**
 * The element types a safetensors file may name. Those that {@link DType} lacks can be listed and
 * measured, but not opened as tensors. The format's types of less than a byte are not among them.
 */
public enum StoredType {
  /** IEEE 754 binary64. */
  F64(8, DType.F64),
  /** IEEE 754 binary32. */
  F32(4, DType.F32),
  /** IEEE 754 binary16. */
  F16(2, DType.F16),
  /** The upper half of a binary32. */
  BF16(2, DType.BF16),
  /** Signed 64-bit integer. */
  I64(8, DType.I64),
  /** Signed 32-bit integer. */
  I32(4, DType.I32),
  /** Signed 8-bit integer. */
  I8(1, DType.I8),
  /** Unsigned 8-bit integer. */
  U8(1, DType.U8),
  /** One byte, 0 or 1. */
  BOOL(1, DType.BOOL),
  /** 8-bit floating point, 4 exponent bits; listed only. */
  F8_E4M3(1, null),
  /** 8-bit floating point, 5 exponent bits; listed only. */
  F8_E5M2(1, null),
  /** Signed 16-bit integer. */
  I16(2, DType.I16),
  /** Unsigned 16-bit integer. */
  U16(2, DType.U16),
  /** Unsigned 32-bit integer. */
  U32(4, DType.U32),
  /** Unsigned 64-bit integer. */
  U64(8, DType.U64);

  private final int bytes;
  private final @Nullable DType dtype;

  StoredType(int bytes, @Nullable DType dtype) {
    this.bytes = bytes;
    this.dtype = dtype;
  }

  /** Bytes an element takes. */
  public int bytes() {
    return bytes;
  }

  /** The element type of a tensor opened from it; null for types that are listed only. */
  public @Nullable DType dtype() {
    return dtype;
  }

  /** The type with this name in the format, or null if there is none. */
  static @Nullable StoredType of(String name) {
    for (StoredType type : values()) {
      if (type.name().equals(name)) {
        return type;
      }
    }
    return null;
  }
}
