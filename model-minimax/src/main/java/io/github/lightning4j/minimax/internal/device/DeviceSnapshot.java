package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvImage;
import io.github.lightning4j.kvquant.CudaKvTransfer;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.SnapshotTensors;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A sequence of a pool as tensors. States, and keys and values that are not quantized, have the
 * names and shapes they have on the CPU, which restores them too; a quantized cache is the parts of
 * a {@link CudaKvImage}.
 */
final class DeviceSnapshot {
  private final SequencePool pool;
  private final CudaStream stream;
  private final int slot;

  DeviceSnapshot(SequencePool pool, int slot) {
    this.pool = pool;
    this.stream = pool.stream();
    this.slot = slot;
  }

  /** Codes are those of the CPU, but recent tokens lie in another basis. */
  static String kind(SequencePool pool) {
    return pool.pages().quantizes()
        ? pool.plan().format().name() + " on a GPU"
        : SnapshotTensors.EXACT;
  }

  Map<String, Tensor> save(long length, MemoryScope scope) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    forEachLayer(
        (layer, states) -> {
          Tensor here = scope.allocate(DType.F32, states.shape());
          stream.copy(states, here);
          tensors.put(SnapshotTensors.name(layer, "state"), here);
        },
        (layer, cache) -> {
          if (pool.pages().quantizes()) {
            CudaKvImage image = transfer(cache).download(length, scope);
            tensors.put(SnapshotTensors.name(layer, "config"), image.config());
            tensors.put(SnapshotTensors.name(layer, "recent"), image.recent());
            tensors.put(SnapshotTensors.name(layer, "packed"), image.packed());
            tensors.put(SnapshotTensors.name(layer, "sinks"), image.sinks());
            tensors.put(SnapshotTensors.name(layer, "sink_positions"), image.sinkPositions());
            tensors.put(SnapshotTensors.name(layer, "sum"), image.sum());
          } else {
            Tensor key = scope.allocate(DType.F32, shape(cache, length));
            Tensor value = scope.allocate(DType.F32, key.shape());
            transfer(cache).read(key, value);
            tensors.put(SnapshotTensors.name(layer, "key"), key);
            tensors.put(SnapshotTensors.name(layer, "value"), value);
          }
        });
    stream.synchronize();
    return tensors;
  }

  void load(SnapshotTensors from, long length) {
    pool.room(slot, length);
    forEachLayer(
        (layer, states) ->
            stream.copy(from.floats(SnapshotTensors.name(layer, "state"), states.shape()), states),
        (layer, cache) -> {
          if (pool.pages().quantizes()) {
            upload(cache, layer, from, length);
          } else if (length > 0) {
            transfer(cache)
                .write(
                    from.floats(SnapshotTensors.name(layer, "key"), shape(cache, length)),
                    from.floats(SnapshotTensors.name(layer, "value"), shape(cache, length)));
          }
        });
    stream.synchronize();
  }

  private void upload(CudaKvCache cache, int layer, SnapshotTensors from, long length) {
    CudaKvImage image =
        new CudaKvImage(
            from.tensor(SnapshotTensors.name(layer, "config")),
            from.tensor(SnapshotTensors.name(layer, "recent")),
            from.tensor(SnapshotTensors.name(layer, "packed")),
            from.tensor(SnapshotTensors.name(layer, "sinks")),
            from.tensor(SnapshotTensors.name(layer, "sink_positions")),
            from.tensor(SnapshotTensors.name(layer, "sum")));
    try {
      transfer(cache).upload(length, image);
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(from.file(), "layer " + layer + ": " + e.getMessage(), e);
    }
  }

  private CudaKvTransfer transfer(CudaKvCache cache) {
    return CudaKvTransfer.of(stream, cache, slot);
  }

  private static long[] shape(CudaKvCache cache, long length) {
    return new long[] {length, cache.config().kvHeads(), cache.config().headDim()};
  }

  private interface LayerWork<T> {
    void at(int layer, T memory);
  }

  /** States are those of the slot, {@code [1, heads, d, d]}. */
  private void forEachLayer(LayerWork<Tensor> lightning, LayerWork<CudaKvCache> softmax) {
    List<LayerKind> kinds = pool.config().layers();
    int seen = 0;
    for (int i = 0; i < kinds.size(); i++) {
      if (kinds.get(i) == LayerKind.LIGHTNING) {
        lightning.at(i, pool.states().states(seen++).narrow(0, slot, 1));
      } else {
        softmax.at(i, pool.cache(i - seen));
      }
    }
  }
}
