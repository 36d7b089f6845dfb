package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.MoeWorkspace;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Scratch memory of one forward pass at a time. A slot grows to the largest size asked of it and is
 * then reused, so a steady state allocates nothing outside the heap.
 */
public final class Workspace implements AutoCloseable {
  /** The tensors a forward pass holds at once. */
  public enum Slot {
    /** Token ids. */
    IDS,
    /** The residual stream {@code [R, H]}. */
    STREAM,
    /** The normed stream {@code [R, H]}. */
    NORMED,
    /** What an attention or the experts give {@code [R, H]}. */
    BRANCH,
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
    /** Router logits {@code [R, E]}. */
    ROUTER_LOGITS,
    /** Chosen experts {@code [R, K]}. */
    EXPERT_INDEX,
    /** Their weights {@code [R, K]}. */
    EXPERT_WEIGHT,
    /** Last rows of the segments {@code [S, H]}. */
    LAST_ROWS,
    /** Logits of the last rows {@code [S, V]}. */
    LAST_LOGITS
  }

  private final Map<Slot, Memory> memory = new EnumMap<>(Slot.class);
  private final Map<Slot, Tensor> last = new EnumMap<>(Slot.class);
  private final MoeWorkspace moe = new MoeWorkspace();
  private @Nullable TokenBatch lastBatch;
  private @Nullable DecodeStep decodeStep;
  private boolean recorded;

  /** An empty workspace. */
  public Workspace() {}

  /** A contiguous tensor in this slot; contents are undefined, and an earlier one is void. */
  public Tensor get(Slot slot, DType dtype, long... shape) {
    Tensor previous = last.get(slot);
    if (previous != null && Arrays.equals(previous.shape(), shape)) {
      return previous;
    }
    long bytes = Arrays.stream(shape).reduce(dtype.bytes(), Math::multiplyExact);
    Memory held = memory.get(slot);
    if (held == null || held.bytes() < bytes) {
      Memory larger = Memory.allocate(bytes);
      memory.put(slot, larger);
      if (held != null) {
        held.close();
      }
      held = larger;
    }
    Tensor tensor = Tensor.view(held, 0, dtype, shape);
    last.put(slot, tensor);
    return tensor;
  }

  /** An F32 tensor; see {@link #get(Slot, DType, long...)}. */
  public Tensor floats(Slot slot, long... shape) {
    return get(slot, DType.F32, shape);
  }

  /** The scratch memory of the experts. */
  public MoeWorkspace moe() {
    return moe;
  }

  /**
   * The recorded step of a batch whose sequences were those of the batch before, too, if it is one
   * that is recorded; null otherwise.
   */
  @Nullable DecodeStep decodeStep(ForwardPass pass, TokenBatch batch) {
    DecodeStep step = find(pass, batch);
    recorded = step != null;
    return step;
  }

  private @Nullable DecodeStep find(ForwardPass pass, TokenBatch batch) {
    TokenBatch before = lastBatch;
    lastBatch = batch;
    if (decodeStep != null && decodeStep.serves(batch)) {
      return decodeStep;
    }
    if (before == null
        || !DecodeStep.canRecord(batch)
        || !DecodeStep.sameSequences(before, batch)) {
      return null;
    }
    if (decodeStep != null) {
      decodeStep.close();
      decodeStep = null;
    }
    try {
      decodeStep = DecodeStep.record(pass, batch);
    } catch (OutOfNativeMemoryException e) {
      return null; // without scratch memory of its own the step runs as any other
    }
    return decodeStep;
  }

  /** Whether the last batch ran as a recorded step. */
  public boolean isRecorded() {
    return recorded;
  }

  @Override
  public void close() {
    if (decodeStep != null) {
      decodeStep.close();
    }
    memory.values().forEach(Memory::close);
    moe.close();
  }
}
