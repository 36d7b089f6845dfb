package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The residual stream of a whole batch, before each layer and before the final norm.
 *
 * @param layers {@code [B, T, H]} F32 for layer 0 to L; none if nobody asked
 */
record HiddenStates(List<Tensor> layers) {
  /** Memory for a batch, zero where there are pads. */
  static HiddenStates allocate(MemoryScope scope, MiniMaxConfig config, TokenRows rows) {
    List<Tensor> layers = new ArrayList<>();
    for (int layer = 0; layer <= config.layers().size(); layer++) {
      layers.add(scope.allocate(DType.F32, rows.batch(), rows.length(), config.hiddenSize()));
    }
    return new HiddenStates(layers);
  }

  /** Keeps nothing. */
  static HiddenStates none() {
    return new HiddenStates(List.of());
  }

  /** An observer of the pass over some tokens of a row. */
  ForwardObserver at(int row, int place, int count) {
    if (layers.isEmpty()) {
      return ForwardObserver.NONE;
    }
    return new ForwardObserver() {
      @Override
      public void hidden(int layer, Tensor stream) {
        layers.get(layer).select(0, row).narrow(0, place, count).copyFrom(stream);
      }
    };
  }

  /** Adds {@code hidden.0 ... hidden.L}. */
  void addTo(Map<String, Tensor> written) {
    for (int layer = 0; layer < layers.size(); layer++) {
      written.put("hidden." + layer, layers.get(layer));
    }
  }
}
