package io.github.lightning4j.nd4j;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Arrays;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Environment;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Tensors over the memory of ND4J arrays, and arrays over the memory of tensors. Nothing is copied:
 * what one side writes, the other reads. Both directions take constant time.
 *
 * <table>
 * <caption>Element types; all others are refused</caption>
 * <tr><td>ND4J</td><td>DOUBLE FLOAT HALF BFLOAT16 LONG INT SHORT BYTE UINT64 UINT32 UINT16 UBYTE
 * BOOL</td></tr>
 * <tr><td>Tensor</td><td>F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL</td></tr>
 * </table>
 *
 * <p>Shapes and strides, which both sides count in elements, are passed on as they are: ND4J's
 * orderings 'c' and 'f' are row-major and column-major strides. A view of an array starts at its
 * own first element, not at that of the array it was taken from.
 *
 * <p><b>Lifetime.</b> Each side keeps the other reachable, so the garbage collector takes the
 * memory only when both are unreachable. Nothing guards against memory freed by hand: do not close
 * an array ({@code INDArray.close()}), leave its workspace, or close a tensor while the other side
 * is in use. Arrays of a workspace can be detached first ({@code INDArray.detach()}, a copy).
 *
 * <p>All methods are safe to call from many threads.
 */
public final class Nd4jTensors {
  /** Holds tensors on behalf of ND4J's buffers, for as long as these are reachable. */
  private static final Cleaner BUFFERS = Cleaner.create();

  private Nd4jTensors() {}

  /**
   * The array's elements as a tensor of the same shape and strides.
   *
   * <p>The tensor is a view: it needs no closing and cannot be closed, for the memory is ND4J's. An
   * array without elements gives a tensor without memory.
   *
   * @throws IllegalArgumentException if the tensor cannot have the array's element type, if strides
   *     are negative or lead out of the array's buffer (ND4J checks neither), or if the array is
   *     empty and has no dimensions, which would be a scalar here
   * @throws IllegalStateException if the array is closed or its workspace left, or ND4J does not
   *     run on the CPU
   */
  public static Tensor toTensor(INDArray array) {
    DType dtype = ElementTypes.of(array.dataType());
    checkState(!array.wasClosed(), "array: closed, its memory is gone");
    requireCpu(Nd4j.getEnvironment());
    long[] shape = array.shape();
    if (array.isEmpty()) {
      checkArgument(
          shape.length > 0, "array: expected a shape with a 0 in it, got an empty array of rank 0");
      return Tensor.view(Memory.wrap(0, 0, () -> {}), 0, dtype, shape);
    }
    checkState(
        isInScope(array.data()), "array: its workspace was left; detach() it inside of that");
    long[] strides = array.stride();
    Layout.requireWithin(array.data().underlyingLength() - array.offset(), shape, strides);
    long span = Layout.span(shape, strides);
    // A view's buffer points to the first element of the whole; offset() counts elements from it.
    long first = array.data().pointer().address() + array.offset() * dtype.bytes();
    Memory memory =
        Memory.wrap(first, span * dtype.bytes(), () -> Reference.reachabilityFence(array));
    return Tensor.view(memory, 0, dtype, span).strided(0, shape, strides);
  }

  /**
   * The tensor's elements as an array of the same shape and strides; its ordering is 'f' if the
   * strides ascend, else 'c'. A tensor without elements gives an empty array of the same shape.
   *
   * @throws IllegalArgumentException if the memory is read-only, for writing into the array would
   *     then end the process, if rows overlap or interleave, for which ND4J's matrix product gives
   *     wrong results, or if the address is no multiple of the element size, on which ND4J's
   *     kernels can crash (tensors of a checkpoint may lie so): copy such a tensor first
   * @throws IllegalStateException if the tensor is closed, or ND4J does not run on the CPU
   */
  public static INDArray toArray(Tensor tensor) {
    checkState(!tensor.isClosed(), "tensor: closed, its memory is gone");
    requireCpu(Nd4j.getEnvironment());
    DataType type = ElementTypes.of(tensor.dtype());
    long[] shape = tensor.shape();
    if (tensor.elements() == 0) {
      return Nd4j.create(type, shape);
    }
    checkArgument(
        !tensor.isReadOnly(),
        "tensor: expected memory that can be written, as every array can, got a read-only view;"
            + " copy it first");
    long[] strides = Layout.strides(tensor);
    checkArgument(
        Layout.isNested(shape, strides),
        "tensor: expected rows that lie apart, got shape %s with strides %s; copy it first",
        Arrays.toString(shape),
        Arrays.toString(strides));
    checkArgument(
        tensor.address() % tensor.dtype().bytes() == 0,
        "tensor: expected an address that is a multiple of %s, got 0x%s; copy it first",
        tensor.dtype().bytes(),
        Long.toHexString(tensor.address()));
    DataBuffer buffer = buffer(tensor, type, Layout.span(shape, strides));
    return Nd4j.create(buffer, shape, strides, 0, Layout.ordering(shape, strides));
  }

  /** As {@code INDArray.isInScope()}, which is wrong for views and for a workspace entered anew. */
  private static boolean isInScope(DataBuffer data) {
    DataBuffer whole = data.originalDataBuffer() == null ? data : data.originalDataBuffer();
    MemoryWorkspace workspace = whole.getParentWorkspace();
    return workspace == null
        || workspace.isScopeActive() && workspace.getGenerationId() == whole.getGenerationId();
  }

  private static DataBuffer buffer(Tensor tensor, DataType type, long span) {
    // ND4J makes a typed pointer of this one, whose capacity then counts elements, not bytes.
    Pointer elements = Memory.pointer(tensor.address(), span);
    DataBuffer buffer = Nd4j.createBuffer(elements, span, type);
    BUFFERS.register(buffer, () -> Reference.reachabilityFence(tensor));
    return buffer;
  }

  /** Refuses backends whose arrays live in the memory of another device. */
  static void requireCpu(Environment nd4j) {
    checkState(nd4j.isCPU(), "ND4J: expected a CPU backend such as nd4j-native, got one for GPUs");
  }
}
