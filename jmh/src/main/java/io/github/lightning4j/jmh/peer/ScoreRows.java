package io.github.lightning4j.jmh.peer;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.internal.DnnlGemm;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.dnnl.IntMemoryMap;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive;
import org.bytedeco.dnnl.softmax_backward;
import org.bytedeco.dnnl.softmax_forward;
import org.bytedeco.dnnl.stream;
import org.bytedeco.javacpp.Pointer;

/**
 * One thread's scores of a block of queries against all keys they may see, {@code [rows, columns]}
 * dense, and the gradient of them; with oneDNN's softmax over rows, in place. The primitives of a
 * shape are made once.
 */
final class ScoreRows implements AutoCloseable {
  private record Shape(int rows, int columns) {}

  private record Call(primitive work, IntMemoryMap arguments) {
    void run(stream stream) {
      work.execute(stream, arguments);
      stream._wait();
    }
  }

  private final Memory scores;
  private final Memory gradients;
  private final FloatBuffer values;
  private final stream stream = new stream(OneDnn.engine());
  private final Map<Shape, Call> forward = new HashMap<>();
  private final Map<Shape, Call> backward = new HashMap<>();

  ScoreRows(int rows, int columns) {
    long bytes = (long) rows * columns * Float.BYTES;
    scores = Memory.allocate(bytes);
    gradients = Memory.allocate(bytes);
    values =
        Memory.pointer(scores.address(), bytes)
            .asByteBuffer()
            .order(ByteOrder.nativeOrder())
            .asFloatBuffer();
  }

  OneDnn.Matrix scores(int columns) {
    return new OneDnn.Matrix(scores.address(), columns);
  }

  OneDnn.Matrix gradients(int columns) {
    return new OneDnn.Matrix(gradients.address(), columns);
  }

  /** Scores to probabilities; row r sees the columns up to {@code columns - rows + r}. */
  void causalSoftmax(int rows, int columns) {
    for (int r = 0; r < rows; r++) {
      for (int c = columns - rows + r + 1; c < columns; c++) {
        values.put(r * columns + c, Float.NEGATIVE_INFINITY);
      }
    }
    DnnlGemm.runOnCallingThread();
    forward.computeIfAbsent(new Shape(rows, columns), this::forwardCall).run(stream);
  }

  /** Gradients of probabilities to gradients of scores. */
  void softmaxBackward(int rows, int columns) {
    DnnlGemm.runOnCallingThread();
    backward.computeIfAbsent(new Shape(rows, columns), this::backwardCall).run(stream);
  }

  private Call forwardCall(Shape shape) {
    memory.desc rows = rows(shape);
    IntMemoryMap arguments = new IntMemoryMap();
    arguments.put(dnnl.DNNL_ARG_SRC, at(scores, rows));
    arguments.put(dnnl.DNNL_ARG_DST, at(scores, rows));
    return new Call(new softmax_forward(described(rows)), arguments);
  }

  private Call backwardCall(Shape shape) {
    memory.desc rows = rows(shape);
    IntMemoryMap arguments = new IntMemoryMap();
    arguments.put(dnnl.DNNL_ARG_DST, at(scores, rows));
    arguments.put(dnnl.DNNL_ARG_DIFF_DST, at(gradients, rows));
    arguments.put(dnnl.DNNL_ARG_DIFF_SRC, at(gradients, rows));
    return new Call(
        new softmax_backward(
            new softmax_backward.primitive_desc(
                OneDnn.engine(),
                dnnl.algorithm.softmax_accurate,
                rows,
                rows,
                rows,
                1,
                described(rows))),
        arguments);
  }

  private static softmax_forward.primitive_desc described(memory.desc rows) {
    return new softmax_forward.primitive_desc(
        OneDnn.engine(),
        dnnl.prop_kind.forward_training,
        dnnl.algorithm.softmax_accurate,
        rows,
        rows,
        1);
  }

  private static memory.desc rows(Shape shape) {
    return new memory.desc(
        new long[] {shape.rows, shape.columns}, memory.data_type.f32, memory.format_tag.ab);
  }

  private static memory at(Memory memory, memory.desc rows) {
    Pointer pointer = Memory.pointer(memory.address(), memory.bytes());
    return new memory(rows, OneDnn.engine(), pointer);
  }

  @Override
  public void close() {
    scores.close();
    gradients.close();
  }
}
