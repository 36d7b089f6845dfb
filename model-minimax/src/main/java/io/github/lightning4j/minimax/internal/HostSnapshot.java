package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Memory of the CPU as tensors: {@code layer.i.state} of lightning layers, {@code layer.i.key} and
 * {@code layer.i.value} {@code [T, kvHeads, d]} of softmax layers, or {@code layer.i.cache} of
 * quantized ones as {@link KvCache#save} has it.
 */
final class HostSnapshot {
  private final HostMemory memory;

  HostSnapshot(HostMemory memory) {
    this.memory = memory;
  }

  /** Exact caches are restored into exact ones of any type. */
  String kind() {
    checkState(
        memory.format().classes().isEmpty(),
        "a snapshot does not hold caches by class (%s); keep the tokens and read them again, fork,"
            + " or use another format",
        memory.format().name());
    return quantizes() ? memory.format().name() : SnapshotTensors.EXACT;
  }

  private boolean quantizes() {
    return memory.format().policy().isPresent();
  }

  Map<String, Tensor> save(MemoryScope scope) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int i = 0; i < memory.size(); i++) {
      if (memory.isLightning(i)) {
        tensors.put(SnapshotTensors.name(i, "state"), memory.lightning(i));
      } else if (quantizes()) {
        Tensor bytes = QuantizedCacheBytes.of(memory.cache(i), scope);
        tensors.put(SnapshotTensors.name(i, "cache"), bytes);
      } else {
        KvCache cache = memory.cache(i);
        Tensor key = scope.allocate(DType.F32, cache.length(), cache.kvHeads(), cache.headDim());
        Tensor value = scope.allocate(DType.F32, key.shape());
        cache.read(key, value);
        tensors.put(SnapshotTensors.name(i, "key"), key);
        tensors.put(SnapshotTensors.name(i, "value"), value);
      }
    }
    return tensors;
  }

  void load(SnapshotTensors from, long tokens) {
    for (int i = 0; i < memory.size(); i++) {
      if (memory.isLightning(i)) {
        Tensor to = memory.lightning(i);
        to.copyFrom(from.floats(SnapshotTensors.name(i, "state"), to.shape()));
      } else if (quantizes()) {
        Tensor bytes = from.tensor(SnapshotTensors.name(i, "cache"));
        KvCacheConfig layer = memory.cache(i).config();
        memory.replace(
            i, QuantizedCacheBytes.load(from.file(), bytes, tokens, layer, memory.budget()));
      } else if (tokens > 0) {
        KvCache cache = memory.cache(i);
        long[] shape = {tokens, cache.kvHeads(), cache.headDim()};
        cache.append(
            from.floats(SnapshotTensors.name(i, "key"), shape),
            from.floats(SnapshotTensors.name(i, "value"), shape));
      }
    }
  }
}
