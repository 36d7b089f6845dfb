package io.github.lightning4j.minimax.internal;

import static java.util.Objects.requireNonNull;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import java.util.HashMap;
import java.util.Map;

/**
 * What has to be kept of drafted tokens until it is known how many of them are right: a lightning
 * state cannot be taken back, so drafts run over a copy of it, and the projections of each layer
 * stay until the right ones are run over the state itself. Key-value caches are cut instead.
 */
public final class Drafts implements AutoCloseable {
  /**
   * The most tokens of a step that are verified together. Up to this many rows, products and
   * experts give each row the bits it has alone.
   */
  public static final int MAX_TOKENS = 16;

  private final MemoryScope scope = new MemoryScope();
  private final Map<Integer, Tensor> projections = new HashMap<>();
  private final Tensor state;
  private final Tensor output;
  private final float[][] logits;

  /** Room for {@value #MAX_TOKENS} tokens of one sequence. */
  public Drafts(MiniMaxConfig config) {
    MiniMaxConfig.AttentionConfig sizes = config.attention();
    logits = new float[MAX_TOKENS][config.vocabSize()];
    try {
      for (int i = 0; i < config.layers().size(); i++) {
        if (config.layers().get(i) == LayerKind.LIGHTNING) {
          projections.put(i, scope.allocate(DType.F32, MAX_TOKENS, 3L * sizes.width()));
        }
      }
      state = scope.allocate(DType.F32, 1, sizes.heads(), sizes.headDim(), sizes.headDim());
      output = scope.allocate(DType.F32, 1, sizes.heads(), sizes.headDim());
    } catch (RuntimeException e) {
      scope.close();
      throw e;
    }
  }

  /** The logits {@code [V]} after a drafted token. */
  public float[] logits(int row) {
    return logits[row];
  }

  /** The fused q|k|v {@code [T, 3 W]} of the first tokens in a lightning layer. */
  Tensor projections(int layer, long tokens) {
    return requireNonNull(projections.get(layer)).narrow(0, 0, tokens);
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
