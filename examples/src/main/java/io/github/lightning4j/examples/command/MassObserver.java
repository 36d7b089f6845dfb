package io.github.lightning4j.examples.command;

import com.google.common.primitives.Floats;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.vlmquant.AttentionMass;
import io.github.lightning4j.vlmquant.PivotDetector;
import io.github.lightning4j.vlmquant.TokenClass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Keeps queries and keys of a prompt and its answer, to tell where the answer looked. */
final class MassObserver implements ForwardObserver {
  private static final int PIVOTS = 15;

  /** What is kept of a layer, token by token. */
  private static final class Layer {
    private final List<float[]> queries = new ArrayList<>();
    private final List<float[]> keys = new ArrayList<>();
    private PivotDetector pivots = new PivotDetector(PIVOTS);
  }

  private final Map<Integer, Layer> layers = new TreeMap<>();
  private final MiniMaxConfig config;
  private boolean inPrompt = true;

  MassObserver(MiniMaxConfig config) {
    this.config = config;
    for (int i = 0; i < config.layers().size(); i++) {
      if (config.layers().get(i) != LayerKind.LIGHTNING) {
        layers.put(i, new Layer());
      }
    }
  }

  /** From here on tokens are the answer's. */
  void endPrompt() {
    inPrompt = false;
  }

  @Override
  public void hidden(int layer, Tensor stream) {
    Layer kept = layers.get(layer);
    if (kept != null && inPrompt) {
      kept.pivots.add(stream, 0);
    }
  }

  @Override
  public void rotated(int layer, Tensor query, Tensor key) {
    Layer kept = layers.get(layer);
    kept.queries.add(query.toFloats());
    kept.keys.add(key.toFloats());
  }

  /**
   * Adds what the answer's queries looked at.
   *
   * @param masses of each layer that has a cache
   * @param prompt the classes of the prompt's tokens; those of the answer are text
   */
  void addTo(List<AttentionMass> masses, TokenClass[] prompt) {
    var attention = config.attention();
    float scale = (float) (1 / Math.sqrt(attention.headDim()));
    int at = 0;
    for (Layer kept : layers.values()) {
      try (Tensor q = joined(kept.queries, attention.heads());
          Tensor k = joined(kept.keys, attention.kvHeads())) {
        TokenClass[] classes = Arrays.copyOf(prompt, (int) q.size(0));
        Arrays.fill(classes, prompt.length, classes.length, TokenClass.TEXT);
        masses.get(at++).add(q, k, scale, classes, kept.pivots.pivots(), prompt.length);
      }
    }
  }

  private Tensor joined(List<float[]> rows, int heads) {
    long width = (long) heads * config.attention().headDim();
    float[] all = Floats.concat(rows.toArray(float[][]::new));
    return Tensor.of(all, all.length / width, heads, config.attention().headDim());
  }
}
