package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;

/** Tensors over memory that somebody else owns. */
final class TensorWrapTest {
  @Test
  void wrapsAPointerFromItsPositionOn() {
    try (FloatPointer pointer = new FloatPointer(0, 1, 2, 3, 4, 5)) {
      Tensor tensor = Tensor.wrap(new FloatPointer(pointer).position(2), DType.F32, 2, 2);
      assertThat(tensor.toFloats()).containsExactly(2, 3, 4, 5);
      tensor.accessor().set(0, -1);
      assertThat(pointer.get(2)).isEqualTo(-1);
      tensor.close();
      assertThatThrownBy(tensor::toFloats).isInstanceOf(IllegalStateException.class);
      assertThat(pointer.get(3)).isEqualTo(3);
      refuses(
          () -> Tensor.wrap(new FloatPointer(pointer).position(3), DType.F32, 4),
          "pointer: expected at least 16 bytes, got 12");
      refuses(
          () -> Tensor.wrap(new FloatPointer((Pointer) null), DType.F32, 1),
          "pointer: expected memory, got a null pointer");
    }
  }

  @Test
  void wrapsADirectBufferFromItsPositionOn() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(20).order(ByteOrder.nativeOrder());
    for (int i = 0; i < 5; i++) {
      buffer.putInt(i * 4, i);
    }
    buffer.position(4);
    try (Tensor tensor = Tensor.wrap(buffer, DType.I32, 4)) {
      assertThat(tensor.toLongs()).containsExactly(1, 2, 3, 4);
      tensor.accessor().setLong(3, 9);
      assertThat(buffer.getInt(16)).isEqualTo(9);
    }
    refuses(() -> Tensor.wrap(buffer, DType.I32, 5), "buffer: expected at least 20 bytes, got 16");
    ByteBuffer swapped = buffer.duplicate().order(ByteOrder.BIG_ENDIAN);
    refuses(() -> Tensor.wrap(swapped, DType.I32, 1), "buffer: expected native byte order");
    assertThatThrownBy(() -> Tensor.wrap(ByteBuffer.allocate(8), DType.U8, 8))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("buffer: expected a direct buffer, got java.nio.HeapByteBuffer");
  }

  @Test
  void readOnlyMemoryIsReadAndNeverWritten() {
    try (Tensor source = Tensor.of(new float[] {1, 2}, 1, 2);
        Memory memory = Memory.wrapReadOnly(source.address(), 8, () -> {})) {
      Tensor view = Tensor.view(memory, 0, DType.F32, 1, 2);
      assertThat(view.isReadOnly()).isTrue();
      assertThat(view.select(0, 0).isReadOnly()).isTrue();
      assertThat(view.toFloats()).containsExactly(1, 2);
      refuses(
          () -> view.copyFrom(source),
          "this: expected memory that can be written, got a read-only view: F32[1, 2]@cpu");
      refuses(
          () -> Gemm.best().multiply(source, source.narrow(0, 0, 1), view.narrow(1, 0, 1)),
          "out: expected memory that can be written, got a read-only view: F32[1, 1]@cpu");
      assertThatThrownBy(() -> view.accessor().set(0, 3))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("read-only");
      assertThat(source.isReadOnly()).isFalse();
    }
  }

  @Test
  void aReadOnlyBufferGivesAReadOnlyTensor() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(24).order(ByteOrder.nativeOrder());
    for (int i = 0; i < 6; i++) {
      buffer.putFloat(i * 4, i);
    }
    ByteBuffer readOnly = buffer.asReadOnlyBuffer().order(ByteOrder.nativeOrder()).position(8);
    try (Tensor tensor = Tensor.wrap(readOnly, DType.F32, 2, 2);
        Tensor weight = Tensor.of(new float[] {1, 0, 0, 1}, 2, 2);
        Tensor out = Tensor.allocate(DType.F32, 2, 2)) {
      assertThat(tensor.isReadOnly()).isTrue();
      assertThat(tensor.narrow(0, 1, 1).isReadOnly()).isTrue();
      assertThat(tensor.toFloats()).containsExactly(2, 3, 4, 5);
      Gemm.best().multiply(tensor, weight, out);
      assertThat(out.toFloats()).containsExactly(2, 3, 4, 5);
      String refusal = "expected memory that can be written, got a read-only view: F32[2, 2]@cpu";
      refuses(() -> Checks.writable("out", tensor), "out: " + refusal);
      refuses(() -> Gemm.best().multiply(weight, weight, tensor), "out: " + refusal);
      refuses(() -> tensor.copyFrom(weight), "this: " + refusal);
      for (Runnable write :
          new Runnable[] {
            () -> tensor.accessor().set(0, 9), () -> tensor.accessor().setLong(0, 9)
          }) {
        assertThatThrownBy(write::run)
            .isInstanceOf(IllegalStateException.class)
            .hasMessage("this memory is read-only; copy the tensor to change it");
      }
      assertThat(buffer.getFloat(8)).isEqualTo(2);
    }
    try (Tensor tensor = Tensor.wrap(buffer, DType.F32, 6)) {
      assertThat(tensor.isReadOnly()).isFalse();
    }
  }

  @Test
  void wrapsAndViewsAStretchOfMemory() {
    Memory memory = Memory.allocate(16);
    Tensor view = Tensor.view(memory, 8, DType.I64, 1);
    Tensor owner = Tensor.wrap(memory, 4, DType.I32, 3);
    owner.accessor().setLong(1, 5);
    assertThat(view.toLongs()).containsExactly(5);
    refuses(
        () -> Tensor.view(memory, 9, DType.I64, 1),
        "byteOffset: expected 8 bytes from 9 to lie within 16");
    refuses(
        () -> Tensor.wrap(memory, Long.MAX_VALUE - 3, DType.I64, 1),
        "byteOffset: expected 8 bytes from " + (Long.MAX_VALUE - 3) + " to lie within 16");
    owner.close();
    assertThat(view.isClosed()).isTrue();
    assertThat(memory.isClosed()).isTrue();
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
