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

  /** The element as a double; exact for every type but I64 beyond 2^53. */
  public double get(long index) {
    return switch (dtype) {
      case F64 -> raw.getDouble(index * 8);
      case F32 -> raw.getFloat(index * 4);
      case F16 -> Float16.toFloat(raw.getShort(index * 2));
      case BF16 -> Bfloat16.toFloat(raw.getShort(index * 2));
      default -> getLong(index);
    };
  }

  /**
   * Stores a value rounded to the element type, to nearest even; integer types take the value
   * truncated and saturated.
   */
  public void set(long index, double value) {
    checkWritable();
    switch (dtype) {
      case F64 -> raw.putDouble(index * 8, value);
      case F32 -> raw.putFloat(index * 4, (float) value);
      case F16 -> raw.putShort(index * 2, Float16.fromFloat(toOdd(value)));
      case BF16 -> raw.putShort(index * 2, Bfloat16.fromFloat(toOdd(value)));
      default -> setLong(index, (long) value);
    }
  }

  /** The element as a long; floating types are truncated. */
  public long getLong(long index) {
    return switch (dtype) {
      case I64 -> raw.getLong(index * 8);
      case I32 -> raw.getInt(index * 4);
      case I8 -> raw.get(index);
      case U8, BOOL -> raw.get(index) & 0xff;
      default -> (long) get(index);
    };
  }

  /** Stores an integer, saturated to the range of an integer type. */
  public void setLong(long index, long value) {
    checkWritable();
    switch (dtype) {
      case I64 -> raw.putLong(index * 8, value);
      case I32 -> raw.putInt(index * 4, (int) clamp(value, Integer.MIN_VALUE, Integer.MAX_VALUE));
      case I8 -> raw.put(index, (byte) clamp(value, -128, 127));
      case U8 -> raw.put(index, (byte) clamp(value, 0, 255));
      case BOOL -> raw.put(index, (byte) (value != 0 ? 1 : 0));
      default -> set(index, value);
    }
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

  /**
   * The value as a float that rounds to 16 bits as the value itself would: cut towards zero, its
   * last bit set if that lost anything. Plain conversion would round twice.
   */
  private static float toOdd(double value) {
    float nearest = (float) value;
    if (nearest == value || Double.isNaN(value)) {
      return nearest;
    }
    float cut = Math.abs(nearest) > Math.abs(value) ? Math.nextAfter(nearest, 0) : nearest;
    return Float.intBitsToFloat(Float.floatToRawIntBits(cut) | 1);
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
