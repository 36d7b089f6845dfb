package io.github.lightning4j.core;

import org.bytedeco.javacpp.indexer.ByteRawIndexer;

/**
 * Random access to elements in memory as {@code double} or {@code long}, for reference
 * implementations and tests. Index 0 is the first element of the tensor it came from; strides are
 * the caller's business. Bounds are those of the tensor's memory.
 */
public final class Elements {
  private final ByteRawIndexer raw;
  private final DType dtype;
  private final boolean readOnly;

  Elements(long address, long bytes, DType dtype, boolean readOnly) {
    this.raw = new ByteRawIndexer(Memory.pointer(address, bytes));
    this.dtype = dtype;
    this.readOnly = readOnly;
  }

  /** The element as a double; exact but for I64 and U64 beyond 2^53, which are rounded. */
  public double get(long index) {
    return switch (dtype) {
      case F64 -> raw.getDouble(index * 8);
      case F32 -> raw.getFloat(index * 4);
      case F16 -> Float16.toFloat(raw.getShort(index * 2));
      case BF16 -> Bfloat16.toFloat(raw.getShort(index * 2));
      case U64 -> Uint64.toDouble(raw.getLong(index * 8));
      default -> getLong(index);
    };
  }

  /**
   * Stores a value rounded to the element type, to nearest even; integer types take the value
   * truncated and saturated, and 0 for NaN.
   */
  public void set(long index, double value) {
    checkWritable();
    switch (dtype) {
      case F64 -> raw.putDouble(index * 8, value);
      case F32 -> raw.putFloat(index * 4, (float) value);
      case F16 -> raw.putShort(index * 2, Float16.fromFloat(RoundToOdd.toFloat(value)));
      case BF16 -> raw.putShort(index * 2, Bfloat16.fromFloat(RoundToOdd.toFloat(value)));
      case U64 -> raw.putLong(index * 8, Uint64.fromDouble(value));
      default -> setLong(index, (long) value);
    }
  }

  /**
   * The element as a long; floating types are truncated. Of a U64 these are the 64 bits: values
   * from 2^63 on come out negative, as {@link Long#toUnsignedString(long)} and its kin take them.
   */
  public long getLong(long index) {
    return switch (dtype) {
      case I64, U64 -> raw.getLong(index * 8);
      case I32 -> raw.getInt(index * 4);
      case U32 -> Integer.toUnsignedLong(raw.getInt(index * 4));
      case I16 -> raw.getShort(index * 2);
      case U16 -> Short.toUnsignedLong(raw.getShort(index * 2));
      case I8 -> raw.get(index);
      case U8, BOOL -> raw.get(index) & 0xff;
      default -> (long) get(index);
    };
  }

  /**
   * Stores an integer, saturated to the range of an integer type or rounded once to a floating one.
   * A negative value is stored as 0 in a U64, as in every unsigned type.
   */
  public void setLong(long index, long value) {
    checkWritable();
    switch (dtype) {
      case I64 -> raw.putLong(index * 8, value);
      case U64 -> raw.putLong(index * 8, Math.max(value, 0));
      case I32 -> raw.putInt(index * 4, (int) clamp(value, Integer.MIN_VALUE, Integer.MAX_VALUE));
      case U32 -> raw.putInt(index * 4, (int) clamp(value, 0, 0xffffffffL));
      case I16 -> raw.putShort(index * 2, (short) clamp(value, Short.MIN_VALUE, Short.MAX_VALUE));
      case U16 -> raw.putShort(index * 2, (short) clamp(value, 0, 0xffff));
      case I8 -> raw.put(index, (byte) clamp(value, -128, 127));
      case U8 -> raw.put(index, (byte) clamp(value, 0, 255));
      case BOOL -> raw.put(index, (byte) (value != 0 ? 1 : 0));
      case F64 -> set(index, value);
      default -> set(index, RoundToOdd.toDouble(value));
    }
  }

  /** The element rounded once to a float. */
  float getFloat(long index) {
    return (float) getForRounding(index);
  }

  /** Stores an element of another type as {@link #set} would store its exact value. */
  void setConverted(long index, Elements from, long fromIndex) {
    if (dtype == DType.F64 || from.dtype.isFloating()) {
      set(index, from.get(fromIndex));
    } else if (dtype.isFloating()) {
      set(index, from.getForRounding(fromIndex));
    } else {
      long bits = from.getLong(fromIndex);
      // No other integer type reaches beyond the range of a long.
      setLong(index, from.dtype == DType.U64 && bits < 0 ? Long.MAX_VALUE : bits);
    }
  }

  /** The element as a double that rounds to a shorter type as the element itself would. */
  private double getForRounding(long index) {
    return switch (dtype) {
      case I64 -> RoundToOdd.toDouble(raw.getLong(index * 8));
      case U64 -> RoundToOdd.unsignedToDouble(raw.getLong(index * 8));
      default -> get(index);
    };
  }

  /** Copies the bits of an element of the same type. */
  void setSame(long index, Elements from, long fromIndex) {
    switch (dtype.bytes()) {
      case 8 -> raw.putLong(index * 8, from.raw.getLong(fromIndex * 8));
      case 4 -> raw.putInt(index * 4, from.raw.getInt(fromIndex * 4));
      case 2 -> raw.putShort(index * 2, from.raw.getShort(fromIndex * 2));
      default -> raw.put(index, from.raw.get(fromIndex));
    }
  }

  private static long clamp(long value, long low, long high) {
    return Math.max(low, Math.min(high, value));
  }

  private void checkWritable() {
    if (readOnly) {
      throw new IllegalStateException("this memory is read-only; copy the tensor to change it");
    }
  }
}
