package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.TooManySequencesException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * The states of all sequences in the lightning layers: {@code [slots, heads, d, d]} F32 for each
 * layer. A sequence has the same slot in all of them. Where no slot is left there will be twice as
 * many, at other addresses.
 */
final class StatePool implements AutoCloseable {
  private final CudaStream stream;
  private final MiniMaxConfig.AttentionConfig sizes;
  private final BitSet taken = new BitSet();
  private List<Tensor> layers;
  private final int most;
  private int slots = 1;
  private int moves;

  /**
   * A pool with one slot.
   *
   * @param most it may have
   */
  StatePool(CudaStream stream, MiniMaxConfig config, int most) {
    this.stream = stream;
    this.most = most;
    this.sizes = config.attention();
    this.layers = allocate(lightningLayers(config), slots);
  }

  private static int lightningLayers(MiniMaxConfig config) {
    return config.count(MiniMaxConfig.LayerKind.LIGHTNING);
  }

  /** The states of the layer that is the n-th of its kind. */
  Tensor states(int lightningLayer) {
    return layers.get(lightningLayer);
  }

  /** Bytes of a slot in all layers. */
  long slotBytes() {
    return (long) Float.BYTES * layers.size() * sizes.heads() * sizes.headDim() * sizes.headDim();
  }

  /**
   * A slot of zeros.
   *
   * @throws TooManySequencesException if all slots are taken
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the pool had to grow and
   *     cannot; nothing has changed then
   */
  int take() {
    int slot = taken.nextClearBit(0);
    if (slot >= most) {
      throw new TooManySequencesException(most);
    }
    if (slot == slots) {
      grow();
    }
    layers.forEach(states -> stream.clear(states.narrow(0, slot, 1)));
    taken.set(slot);
    return slot;
  }

  /** A slot with the states of another. */
  int copy(int slot) {
    int copy = take();
    for (Tensor states : layers) {
      stream.copy(states.narrow(0, slot, 1), states.narrow(0, copy, 1));
    }
    return copy;
  }

  /** How often the states have moved. */
  int moves() {
    return moves;
  }

  /** Lets go of a slot. */
  void giveBack(int slot) {
    taken.clear(slot);
  }

  private void grow() {
    int wanted = Math.min(most, 2 * slots);
    List<Tensor> larger = allocate(layers.size(), wanted);
    try {
      for (int i = 0; i < larger.size(); i++) {
        stream.copy(layers.get(i), larger.get(i).narrow(0, 0, slots));
      }
      stream.synchronize();
    } catch (RuntimeException | Error e) {
      larger.forEach(Tensor::close);
      throw e;
    }
    close();
    layers = larger;
    slots = wanted;
    moves++;
  }

  private List<Tensor> allocate(int count, int entries) {
    List<Tensor> all = new ArrayList<>();
    long d = sizes.headDim();
    long bytes = Float.BYTES * entries * sizes.heads() * d * d;
    try {
      for (int i = 0; i < count; i++) {
        all.add(
            Tensor.wrap(
                CudaMemory.allocate(stream.device(), bytes),
                0,
                DType.F32,
                entries,
                sizes.heads(),
                d,
                d));
      }
    } catch (RuntimeException | Error e) {
      all.forEach(Tensor::close);
      throw e;
    }
    return all;
  }

  @Override
  public void close() {
    layers.forEach(Tensor::close);
  }
}
