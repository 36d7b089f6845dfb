package io.github.lightning4j.cispo.head;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The checks of both passes of {@link CudaFusedHead}. */
final class CudaHeadArguments {
  private static final Set<DType> INTEGERS = EnumSet.of(DType.I32, DType.I64);

  /** What addresses and row strides of operands must be multiples of, in bytes. */
  private static final int ALIGNMENT = 16;

  private final CudaStream stream;
  private final long tokens;
  private final long words;
  private final long width;
  private final Map<String, Tensor> taken = new LinkedHashMap<>();

  /** Checks what both passes read, and keeps it, since nothing may be written over it. */
  CudaHeadArguments(
      CudaStream stream, Tensor hidden, Tensor head, Tensor targets, double temperature) {
    this.stream = stream;
    rows("hidden", hidden);
    rows("head", head);
    tokens = hidden.size(0);
    words = head.size(0);
    width = hidden.size(1);
    Checks.shape("head", head, words, width);
    checkArgument(head.elements() > 0, "head: expected a word or more of one channel, got none");
    Checks.dtype("targets", targets, INTEGERS);
    dense("targets", targets, targets.dtype(), tokens);
    checkArgument(
        temperature > 0 && temperature < Double.POSITIVE_INFINITY,
        "temperature: expected a finite number > 0, got %s",
        temperature);
    taken.put("hidden", hidden);
    taken.put("head", head);
    taken.put("targets", targets);
  }

  long tokens() {
    return tokens;
  }

  private void rows(String name, Tensor rows) {
    stream.check(name, rows);
    Checks.matrix(name, rows, DType.BF16);
    boolean row = rows.size(0) <= 1 || rows.stride(0) * Short.BYTES % ALIGNMENT == 0;
    boolean aligned = rows.deviceAddress() % ALIGNMENT == 0 && row;
    checkArgument(
        aligned && rows.size(1) * Short.BYTES % ALIGNMENT == 0,
        "%s: expected rows of a multiple of 8 elements that start at multiples of %s bytes, got %s;"
            + " pad with zeros",
        name,
        ALIGNMENT,
        rows);
    checkArgument(
        rows.size(0) < Integer.MAX_VALUE / 2 && rows.size(1) < Integer.MAX_VALUE / 2,
        "%s: expected a smaller matrix, got %s",
        name,
        rows);
  }

  private void dense(String name, Tensor tensor, DType type, long elements) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, type);
    Checks.shape(name, tensor, elements);
    Checks.contiguous(name, tensor);
  }

  /** A value a token that is read. */
  void read(String name, @Nullable Tensor tensor, DType type) {
    if (tensor != null) {
      dense(name, tensor, type, tokens);
      taken.put(name, tensor);
    }
  }

  /** Numbers that are written, apart from all before. */
  void written(String name, @Nullable Tensor tensor, DType type, long elements) {
    if (tensor != null) {
      dense(name, tensor, type, elements);
      keepApart(name, tensor);
    }
  }

  /** Scratch memory that is copied from by vectors. */
  void scratch(Tensor scratch, long elements) {
    written("scratch", scratch, DType.F32, elements);
    checkArgument(
        scratch.deviceAddress() % ALIGNMENT == 0,
        "scratch: expected memory at a multiple of %s bytes, got %s",
        ALIGNMENT,
        scratch);
  }

  /** F32 rows {@code [rows, H]} that are written, apart from all before. */
  private void writtenRows(String name, @Nullable Tensor out, long rows) {
    if (out != null) {
      stream.check(name, out);
      Checks.matrix(name, out, DType.F32);
      Checks.shape(name, out, rows, width);
      keepApart(name, out);
    }
  }

  /** What the forward pass wrote, and the gradients. */
  void gradients(HeadOutput forward, HeadGradients gradients) {
    read("logProb", forward.logProb(), DType.F32);
    read("logSumExp", forward.logSumExp(), DType.F64);
    read("dLogProb", gradients.dLogProb(), DType.F32);
    read("dEntropy", gradients.dEntropy(), DType.F32);
    checkArgument(
        gradients.dEntropy() == null || forward.entropy() != null,
        "forward: expected entropies since dEntropy is given");
    read("entropy", forward.entropy(), DType.F32);
    writtenRows("outDHidden", gradients.outDHidden(), tokens);
    writtenRows("outDHead", gradients.outDHead(), words);
  }

  private void keepApart(String name, Tensor out) {
    Checks.writable(name, out);
    taken.forEach(
        (other, tensor) ->
            checkArgument(
                !Checks.overlap(out, tensor),
                "%s: expected memory of its own, got an overlap with %s, %s",
                name,
                other,
                tensor));
    taken.put(name, out);
  }
}
