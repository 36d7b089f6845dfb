package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.CudaExpertWeights;
import io.github.lightning4j.moe.CudaMoeWorkspace;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Scratch memory of the passes on one stream, which come one after another. A slot grows to the
 * largest size asked of it and is then reused.
 */
final class DeviceScratch implements AutoCloseable {
  /** The tensors that a pass holds at once. */
  enum Slot {
    /** The residual stream {@code [R, H]}. */
    STREAM,
    /** The normed stream {@code [R, H]}. */
    NORMED,
    /** The fused q|k|v, or q, of a layer. */
    QUERY,
    /** Keys of a softmax layer. */
    KEY,
    /** Values of a softmax layer. */
    VALUE,
    /** Attention output before the projection. */
    HEADS,
    /** The output gate of a lightning layer. */
    GATE,
    /** Sums of parts of the positions, of attention over caches. */
    SPLITS,
    /** The greatest magnitudes of rows {@code [R, k]}. */
    GREATEST,
    /** Router logits {@code [R, E]}. */
    ROUTER_LOGITS,
    /** What the experts of a rank give, then the sum over ranks {@code [R, H]}. */
    MIXTURE,
    /** Last rows of the sequences {@code [S, H]}. */
    LAST_ROWS,
    /** Logits {@code [S, V]}. */
    LOGITS
  }

  private final CudaStream stream;
  private final Map<Slot, Memory> memory = new EnumMap<>(Slot.class);
  private @Nullable CudaMoeWorkspace moe;
  private int moves;

  DeviceScratch(CudaStream stream) {
    this.stream = stream;
  }

  /** A contiguous tensor in this slot; contents are undefined, and an earlier one is void. */
  Tensor get(Slot slot, DType dtype, long... shape) {
    long bytes = Arrays.stream(shape).reduce(dtype.bytes(), Math::multiplyExact);
    Memory held = memory.get(slot);
    if (held == null || held.bytes() < bytes) {
      Memory larger = CudaMemory.allocate(stream.device(), bytes);
      memory.put(slot, larger);
      moves++;
      if (held != null) {
        held.close(); // waits for what is on the device
      }
      held = larger;
    }
    return Tensor.view(held, 0, dtype, shape);
  }

  /** A BF16 tensor, as activations are. */
  Tensor activations(Slot slot, long... shape) {
    return get(slot, DType.BF16, shape);
  }

  /**
   * The scratch memory of the experts, which are of the same sizes in all layers.
   *
   * @param experts those that are here
   * @param all how many a layer has
   */
  CudaMoeWorkspace moe(CudaExpertWeights experts, int all, long rows, int k) {
    if (moe == null || moe.tokens() < rows) {
      CudaMoeWorkspace larger = CudaMoeWorkspace.allocate(experts, all, rows, k);
      if (moe != null) {
        moe.close();
      }
      moe = larger;
      moves++;
    }
    return moe;
  }

  /** How often a slot has moved: what was recorded before holds only until the next move. */
  int moves() {
    return moves;
  }

  @Override
  public void close() {
    memory.values().forEach(Memory::close);
    if (moe != null) {
      moe.close();
    }
  }
}
