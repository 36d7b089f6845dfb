package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaEvent;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.LayerConstants;
import io.github.lightning4j.minimax.internal.WeightMatrix;
import java.util.Arrays;

/**
 * Copies weights to a GPU, through two pieces of pinned memory: while one is under way, the other
 * is filled and its elements are turned into the type they get there.
 */
final class WeightUpload implements AutoCloseable {
  private static final long PIECE = 16L << 20;

  private final CudaStream stream;
  private final MemoryScope scope;
  private final Memory[] pieces = new Memory[2];
  private final CudaEvent[] sent = new CudaEvent[2];
  private int turn;

  /**
   * Copies go to a stream, and what they fill to a scope, which owns it.
   *
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if nothing can be pinned
   */
  WeightUpload(CudaStream stream, MemoryScope scope) {
    this.stream = stream;
    this.scope = scope;
    try {
      for (int i = 0; i < pieces.length; i++) {
        pieces[i] = CudaMemory.pinned(stream.device(), PIECE);
        sent[i] = CudaEvent.open(stream.device());
      }
    } catch (RuntimeException | Error e) {
      free();
      throw e;
    }
  }

  /** A matrix, plain in BF16 or coded as it is. */
  DeviceMatrix matrix(WeightMatrix matrix) {
    if (matrix instanceof WeightMatrix.Plain plain) {
      return new DeviceMatrix.Plain(tensor(plain.tensor(), DType.BF16));
    }
    return new DeviceMatrix.Coded(coded(((WeightMatrix.Quantized) matrix).matrix()));
  }

  /** The codes of a matrix. */
  CudaQuantizedMatrix coded(QuantizedMatrix matrix) {
    return new CudaQuantizedMatrix(
        matrix.format(), matrix.rows(), matrix.columns(), tensor(matrix.image(), DType.U8));
  }

  /** A copy of elements of another type, rounded to nearest even. */
  Tensor tensor(Tensor host, DType type) {
    long bytes = host.elements() * type.bytes();
    Tensor there =
        scope.add(Tensor.wrap(CudaMemory.allocate(stream.device(), bytes), 0, type, host.shape()));
    copy(host, there);
    return there;
  }

  /** The decay of a lightning layer, {@code [heads]} F32. */
  Tensor logDecay(int layer, MiniMaxConfig config) {
    Decay decay = LayerConstants.decay(layer, config);
    float[] rounded = new float[decay.heads()];
    for (int head = 0; head < rounded.length; head++) {
      rounded[head] = (float) decay.logDecay(head);
    }
    try (Tensor host = Tensor.of(rounded, rounded.length)) {
      return tensor(host, DType.F32);
    }
  }

  /** Rotary frequencies {@code [R/2]} F32. */
  Tensor frequencies(MiniMaxConfig config) {
    try (Tensor host = LayerConstants.inverseFrequencies(config.attention())) {
      return tensor(host, DType.F32);
    }
  }

  private void copy(Tensor from, Tensor to) {
    long rows = from.rank() == 0 ? 0 : from.size(0);
    long rowBytes = rows == 0 ? 0 : Math.max(1, to.elements() / rows * to.dtype().bytes());
    if (rowBytes > PIECE) {
      for (long row = 0; row < rows; row++) {
        copy(from.select(0, row), to.select(0, row));
      }
      return;
    }
    long most = rows == 0 ? 1 : PIECE / rowBytes;
    for (long row = 0; row < rows; row += most) {
      long count = Math.min(most, rows - row);
      send(from.narrow(0, row, count), to.narrow(0, row, count));
    }
  }

  private void send(Tensor from, Tensor to) {
    turn = 1 - turn;
    sent[turn].synchronize();
    Tensor piece = Tensor.view(pieces[turn], 0, to.dtype(), to.shape());
    piece.copyFrom(from);
    stream.copy(piece, to);
    stream.record(sent[turn]);
  }

  /** Waits until all has arrived. */
  @Override
  public void close() {
    try {
      stream.synchronize();
    } finally {
      free();
    }
  }

  private void free() {
    Arrays.stream(pieces).filter(piece -> piece != null).forEach(Memory::close);
    Arrays.stream(sent).filter(event -> event != null).forEach(CudaEvent::close);
  }
}
