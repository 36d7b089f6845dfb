package io.github.lightning4j.minimax;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.WeightMatrix;
import java.nio.charset.StandardCharsets;

/**
 * A hash that tells checkpoints apart without reading all of them: the config, the final norm, the
 * norms of the first layer, and the beginnings of embedding and head.
 */
final class ModelFingerprint {
  private static final long MOST_ELEMENTS = 1 << 14;

  private ModelFingerprint() {}

  static String of(Checkpoint checkpoint) {
    ModelWeights weights = checkpoint.weights();
    Hasher hasher = Hashing.sha256().newHasher();
    hasher.putString(checkpoint.config().toString(), StandardCharsets.UTF_8);
    put(hasher, weights.finalNorm());
    put(hasher, weights.layers().get(0).inputNorm());
    put(hasher, weights.layers().get(0).postNorm());
    put(hasher, weights.embedding());
    put(hasher, weights.head());
    return hasher.hash().toString();
  }

  private static void put(Hasher hasher, WeightMatrix matrix) {
    if (matrix instanceof WeightMatrix.Plain plain) {
      put(hasher, plain.tensor());
    } else if (matrix instanceof WeightMatrix.Quantized quantized) {
      hasher.putString(quantized.matrix().format().toString(), StandardCharsets.UTF_8);
      put(hasher, quantized.matrix().image());
    }
  }

  private static void put(Hasher hasher, Tensor tensor) {
    long count = Math.min(MOST_ELEMENTS, tensor.elements());
    Tensor first = tensor.strided(0, new long[] {count}, new long[] {1});
    hasher.putString(tensor.dtype().name(), StandardCharsets.UTF_8);
    for (double value : first.toDoubles()) {
      hasher.putDouble(value);
    }
  }
}
