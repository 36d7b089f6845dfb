package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.Drafts;
import java.util.ArrayList;
import java.util.List;

/**
 * Drafts of a GPU, where a pass over them moves the states of their sequence on: those from before
 * it are kept, with what the lightning layers made of the tokens, and are brought back where not
 * all tokens are right. Keys and values need nothing: what lies behind the last right token is
 * written over.
 */
final class DeviceDrafts implements Drafts {
  private final MemoryScope scope = new MemoryScope();
  private final List<Tensor> states = new ArrayList<>();
  private final List<Tensor> rows = new ArrayList<>();
  private final Tensor slot;
  private final Tensor output;
  private final float[][] logits;
  private int tokens;

  /**
   * Takes memory on a GPU.
   *
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if there is too little
   */
  DeviceDrafts(CudaDevice device, MiniMaxConfig config) {
    MiniMaxConfig.AttentionConfig sizes = config.attention();
    logits = new float[MAX_TOKENS][config.vocabSize()];
    try {
      for (int i = 0; i < config.count(LayerKind.LIGHTNING); i++) {
        long d = sizes.headDim();
        states.add(allocate(device, DType.F32, 1, sizes.heads(), d, d));
        rows.add(allocate(device, DType.BF16, MAX_TOKENS, 3L * sizes.width()));
      }
      slot = allocate(device, DType.I32, 1);
      output = allocate(device, DType.BF16, MAX_TOKENS, sizes.width());
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  private Tensor allocate(CudaDevice device, DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes *= size;
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(device, bytes), 0, type, shape));
  }

  /** Keeps the states of a sequence ahead of a pass over so many tokens. */
  void keep(CudaStream stream, StatePool from, int ofSlot, int count) {
    tokens = count;
    for (int i = 0; i < states.size(); i++) {
      stream.copy(from.states(i).narrow(0, ofSlot, 1), states.get(i));
    }
  }

  /** Brings the states back. */
  void restore(CudaStream stream, StatePool to, int ofSlot) {
    try (Tensor host = Tensor.of(new int[] {ofSlot}, 1)) {
      stream.copy(host, slot);
      stream.synchronize();
    }
    for (int i = 0; i < states.size(); i++) {
      stream.copy(states.get(i), to.states(i).narrow(0, ofSlot, 1));
    }
  }

  /** How many tokens the pass was over. */
  int tokens() {
    return tokens;
  }

  /** The fused q|k|v {@code [T, 3 W]} of the first tokens in a lightning layer. */
  Tensor rows(int lightningLayer, long count) {
    return rows.get(lightningLayer).narrow(0, 0, count);
  }

  /** The slot of the sequence whose states were brought back {@code [1]}. */
  Tensor slot() {
    return slot;
  }

  /** Outputs {@code [T, W]} nobody reads. */
  Tensor output(long count) {
    return output.narrow(0, 0, count);
  }

  @Override
  public float[] logits(int row) {
    return logits[row];
  }

  @Override
  public void close() {
    scope.close();
  }
}
