package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.util.ArrayList;
import java.util.List;

/** What one tile takes on its way through tower and projector; used for one tile at a time. */
final class TowerBuffers implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();

  /** The pixels of each patch {@code [P, 3 p p]}. */
  final Tensor pixels;

  /** The residual stream {@code [1 + P, C]}. */
  final Tensor stream;

  /** The normed stream. */
  final Tensor normed;

  /** What an attention or the products give. */
  final Tensor branch;

  final Tensor query;
  final Tensor key;
  final Tensor value;

  /** Attention output before the projection. */
  final Tensor heads;

  /** Between the two products {@code [1 + P, I]}. */
  final Tensor inner;

  /** Between the layers of the projector {@code [P, H]}. */
  final Tensor projecting;

  /** Rows of embeddings {@code [P, H]}. */
  final Tensor projected;

  /** The keys and values of each head. */
  final List<KvCache> caches = new ArrayList<>();

  TowerBuffers(VisionConfig.Tower tower, long hidden) {
    long patches = tower.patches();
    long channels = tower.hiddenSize();
    pixels = scope.allocate(DType.F32, patches, 3L * tower.patchSize() * tower.patchSize());
    stream = scope.allocate(DType.F32, 1 + patches, channels);
    normed = scope.allocate(DType.F32, 1 + patches, channels);
    branch = scope.allocate(DType.F32, 1 + patches, channels);
    query = scope.allocate(DType.F32, 1 + patches, channels);
    key = scope.allocate(DType.F32, 1 + patches, channels);
    value = scope.allocate(DType.F32, 1 + patches, channels);
    heads = scope.allocate(DType.F32, 1 + patches, channels);
    inner = scope.allocate(DType.F32, 1 + patches, tower.intermediateSize());
    projecting = scope.allocate(DType.F32, patches, hidden);
    projected = scope.allocate(DType.F32, patches, hidden);
    for (int head = 0; head < tower.heads(); head++) {
      caches.add(scope.add(KvCache.create(1, tower.headDim(), DType.F32)));
    }
  }

  /** The patches' part of the stream. */
  Tensor features() {
    return stream.narrow(0, 1, stream.size(0) - 1);
  }

  @Override
  public void close() {
    scope.close();
  }
}
