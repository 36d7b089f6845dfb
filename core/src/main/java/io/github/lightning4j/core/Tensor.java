package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.Longs;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * A typed, shaped, strided view of memory on a device. It does no arithmetic.
 *
 * <p>A tensor made by {@link #allocate}, {@link #of} or {@link #wrap} owns (or stands for) its
 * memory and must be closed; views made from it by {@link #narrow}, {@link #select}, {@link
 * #reshape} and {@link #strided} share that memory, need no closing, and end with their owner. Use
 * after closing and closing twice give {@link IllegalStateException}.
 *
 * <p>Strides are counted in elements. Shapes are immutable; contents are as safe as any memory.
 */
public final class Tensor implements AutoCloseable {
  private final Memory memory;
  private final long byteOffset;
  private final DType dtype;
  private final long[] shape;
  private final long[] strides;
  private final Device device;
  private final boolean owner;

  private Tensor(
      Memory memory, long byteOffset, DType dtype, long[] shape, long[] strides, boolean owner) {
    this.memory = memory;
    this.byteOffset = byteOffset;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.device = memory.device();
    this.owner = owner;
  }

  /** Allocates a zeroed, contiguous tensor, aligned to 64 bytes. */
  public static Tensor allocate(DType dtype, long... shape) {
    return wrap(Memory.allocate(Strides.bytes(dtype, shape)), 0, dtype, shape);
  }

  /** Allocates an F32 tensor and copies the values into it. */
  public static Tensor of(float[] values, long... shape) {
    Tensor tensor = allocateFor(values.length, DType.F32, shape);
    new FloatPointer(tensor.pointer()).put(values);
    return tensor;
  }

  /** Allocates an F64 tensor and copies the values into it. */
  public static Tensor of(double[] values, long... shape) {
    Tensor tensor = allocateFor(values.length, DType.F64, shape);
    new DoublePointer(tensor.pointer()).put(values);
    return tensor;
  }

  /** Allocates an I32 tensor and copies the values into it. */
  public static Tensor of(int[] values, long... shape) {
    Tensor tensor = allocateFor(values.length, DType.I32, shape);
    new IntPointer(tensor.pointer()).put(values);
    return tensor;
  }

  /** Allocates an I64 tensor and copies the values into it. */
  public static Tensor of(long[] values, long... shape) {
    Tensor tensor = allocateFor(values.length, DType.I64, shape);
    new LongPointer(tensor.pointer()).put(values);
    return tensor;
  }

  /**
   * A contiguous tensor over foreign memory, from the pointer's position on, without a copy. The
   * memory stays its owner's: closing the tensor only ends its use. The pointer is kept reachable.
   *
   * @throws IllegalArgumentException if the pointer is null, or its limit is known and too small
   */
  public static Tensor wrap(Pointer pointer, DType dtype, long... shape) {
    return wrap(Memory.borrow(pointer, Strides.bytes(dtype, shape)), 0, dtype, shape);
  }

  /**
   * A contiguous tensor over a direct buffer, from its position on, without a copy. Over a
   * read-only buffer the tensor is read-only.
   *
   * @throws IllegalArgumentException if the buffer is not direct, not in native byte order, or too
   *     small
   */
  public static Tensor wrap(ByteBuffer buffer, DType dtype, long... shape) {
    return wrap(Memory.borrow(buffer, Strides.bytes(dtype, shape)), 0, dtype, shape);
  }

  /** A contiguous tensor in a stretch of memory; closing the tensor closes the memory. */
  public static Tensor wrap(Memory memory, long byteOffset, DType dtype, long... shape) {
    long bytes = Strides.bytes(dtype, shape);
    checkArgument(
        byteOffset >= 0 && byteOffset <= memory.bytes() - bytes,
        "byteOffset: expected %s bytes from %s to lie within %s",
        bytes,
        byteOffset,
        memory.bytes());
    return new Tensor(memory, byteOffset, dtype, shape.clone(), Strides.contiguous(shape), true);
  }

  /** The same memory seen from outside an owner, for instance a tensor of a mapped file. */
  public static Tensor view(Memory memory, long byteOffset, DType dtype, long... shape) {
    Tensor checked = wrap(memory, byteOffset, dtype, shape);
    return new Tensor(memory, byteOffset, dtype, checked.shape, checked.strides, false);
  }

  /** The element type. */
  public DType dtype() {
    return dtype;
  }

  /** The device the memory lives on. */
  public Device device() {
    return device;
  }

  /** The number of dimensions. */
  public int rank() {
    return shape.length;
  }

  /** A copy of the shape. */
  public long[] shape() {
    return shape.clone();
  }

  /** The size of a dimension; negative counts from the end. */
  public long size(int dim) {
    return shape[axis(dim)];
  }

  /**
   * The distance, in elements, between neighbours along a dimension; negative counts from the end.
   */
  public long stride(int dim) {
    return strides[axis(dim)];
  }

  /** The number of elements. */
  public long elements() {
    return Strides.count(shape);
  }

  /** Whether the elements lie without gaps in row-major order. */
  public boolean isContiguous() {
    return Strides.areContiguous(shape, strides);
  }

  /**
   * The address of the first element, which this process can read.
   *
   * @throws IllegalStateException if the owner is closed
   * @throws IllegalArgumentException if the memory is a GPU's, so that no operator of the CPU
   *     touches it
   */
  public long address() {
    return memory.address() + byteOffset;
  }

  /**
   * The address of the first element, which kernels of the GPU that has it can read.
   *
   * @throws IllegalStateException if the owner is closed
   * @throws IllegalArgumentException if the memory is not a GPU's
   */
  public long deviceAddress() {
    return memory.deviceAddress() + byteOffset;
  }

  long anyAddress() {
    return memory.anyAddress() + byteOffset;
  }

  /** A JavaCPP view of the bytes from the first element to the last; it owns nothing. */
  public BytePointer pointer() {
    return Memory.pointer(address(), spanBytes());
  }

  /** Element access for reference code; see {@link Elements}. */
  public Elements accessor() {
    return new Elements(address(), spanBytes(), dtype, memory.isReadOnly());
  }

  /** The part {@code [from, from + length)} of a dimension. */
  public Tensor narrow(int dim, long from, long length) {
    int axis = axis(dim);
    checkArgument(
        from >= 0 && length >= 0 && length <= shape[axis] && from <= shape[axis] - length,
        "narrow: expected %s from %s on within [0, %s)",
        length,
        from,
        shape[axis]);
    long[] narrowed = shape.clone();
    narrowed[axis] = length;
    return view(from * strides[axis], narrowed, strides.clone());
  }

  /** One index of a dimension, which disappears from the shape. */
  public Tensor select(int dim, long index) {
    int axis = axis(dim);
    checkArgument(
        index >= 0 && index < shape[axis], "select: expected 0 <= %s < %s", index, shape[axis]);
    return view(
        index * strides[axis], Strides.without(shape, axis), Strides.without(strides, axis));
  }

  /** The same elements in another shape; the tensor must be contiguous. */
  public Tensor reshape(long... newShape) {
    checkState(isContiguous(), "reshape: expected a contiguous tensor, got %s", this);
    checkArgument(
        Strides.count(newShape) == elements(),
        "reshape: expected %s elements, got %s",
        elements(),
        Longs.asList(newShape));
    return view(0, newShape.clone(), Strides.contiguous(newShape));
  }

  /** Another shape and other strides over the same memory, from an element offset on. */
  public Tensor strided(long offset, long[] newShape, long[] newStrides) {
    long span = Strides.checkedSpan(newShape, newStrides);
    long room = (memory.bytes() - byteOffset) / dtype.bytes();
    checkArgument(
        offset >= 0 && offset <= room && span <= room - offset,
        "strided: %s elements from %s on are outside the %s that the memory has",
        span,
        offset,
        room);
    return view(offset, newShape.clone(), newStrides.clone());
  }

  /** The elements in row-major order, rounded to an array of floats. */
  public float[] toFloats() {
    return Copies.floats(accessor(), shape, strides);
  }

  /** Copies the elements, in row-major order, to an array of doubles. */
  public double[] toDoubles() {
    return Copies.doubles(accessor(), shape, strides);
  }

  /**
   * Copies the elements, in row-major order, to an array of longs; of U64 their bits, as {@link
   * Elements#getLong} does.
   */
  public long[] toLongs() {
    return Copies.longs(accessor(), shape, strides);
  }

  /**
   * Copies the elements of a tensor of the same shape into this one: bit for bit, or converted as
   * {@link Elements} does where the types differ. Strided views must not overlap.
   */
  public void copyFrom(Tensor source) {
    Checks.shape("source", source, shape);
    Checks.writable("this", this);
    Copies.copy(source, source.strides, this, strides);
  }

  /** Whether the memory must not be written: operators refuse it as an output. */
  public boolean isReadOnly() {
    return memory.isReadOnly();
  }

  /** Whether the memory was closed. */
  public boolean isClosed() {
    return memory.isClosed();
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already, or if this is a view
   */
  @Override
  public void close() {
    checkState(owner, "a view is closed through its owner: %s", this);
    memory.close();
  }

  @Override
  public String toString() {
    return dtype + Arrays.toString(shape) + "@" + device + (isClosed() ? " (closed)" : "");
  }

  private Tensor view(long offset, long[] newShape, long[] newStrides) {
    long start = byteOffset + offset * dtype.bytes();
    return new Tensor(memory, start, dtype, newShape, newStrides, false);
  }

  private int axis(int dim) {
    int axis = dim < 0 ? dim + shape.length : dim;
    checkArgument(
        axis >= 0 && axis < shape.length, "dim: expected one of %s, got %s", shape.length, dim);
    return axis;
  }

  long spanBytes() {
    return Strides.span(shape, strides) * dtype.bytes();
  }

  private static Tensor allocateFor(int values, DType dtype, long[] shape) {
    Strides.checkCount(values, shape);
    return allocate(dtype, shape);
  }
}
