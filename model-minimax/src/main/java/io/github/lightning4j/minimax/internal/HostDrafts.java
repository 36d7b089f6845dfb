package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import java.util.ArrayList;
import java.util.List;

/**
 * Drafts of the CPU. Neither a lightning state nor a quantizing cache can take a token back, so
 * they run over copies of them, and what a layer made of the tokens stays until the right ones are
 * run over the originals.
 */
final class HostDrafts implements Drafts {
  private final MemoryScope scope = new MemoryScope();
  private final List<List<Tensor>> rows = new ArrayList<>();
  private final Tensor state;
  private final Tensor output;
  private final float[][] logits;

  HostDrafts(MiniMaxConfig config) {
    MiniMaxConfig.AttentionConfig sizes = config.attention();
    logits = new float[MAX_TOKENS][config.vocabSize()];
    try {
      for (LayerKind kind : config.layers()) {
        rows.add(
            kind == LayerKind.LIGHTNING
                ? List.of(scope.allocate(DType.F32, MAX_TOKENS, 3L * sizes.width()))
                : List.of(
                    scope.allocate(DType.F32, MAX_TOKENS, sizes.kvWidth()),
                    scope.allocate(DType.F32, MAX_TOKENS, sizes.kvWidth())));
      }
      state = scope.allocate(DType.F32, 1, sizes.heads(), sizes.headDim(), sizes.headDim());
      output = scope.allocate(DType.F32, 1, sizes.heads(), sizes.headDim());
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  @Override
  public float[] logits(int row) {
    return logits[row];
  }

  /**
   * What a layer keeps of the first tokens: its fused q|k|v {@code [T, 3 W]} in a lightning layer,
   * the keys (part 0) as its cache wants them and values (part 1) {@code [T, kvW]} in a softmax
   * layer.
   */
  Tensor rows(int layer, int part, long tokens) {
    return rows.get(layer).get(part).narrow(0, 0, tokens);
  }

  /** A state {@code [1, heads, d, d]} to run over; each layer fills it for itself. */
  Tensor state() {
    return state;
  }

  /** An output {@code [1, heads, d]} nobody reads. */
  Tensor output() {
    return output;
  }

  @Override
  public void close() {
    scope.close();
  }
}
