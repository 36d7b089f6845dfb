package io.github.lightning4j.kvquant.calibration;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.transform.GroupedBasis;
import java.util.List;

/**
 * What is known of all layers of a model that have a cache.
 *
 * @param source where it comes from
 * @param layers by index among the layers that have a cache; all of the same sizes
 */
public record Calibration(CalibrationSource source, List<LayerCalibration> layers) {
  /**
   * Checks the layers and keeps a copy of the list.
   *
   * @throws IllegalArgumentException if there is none, or their sizes differ
   */
  public Calibration {
    layers = List.copyOf(layers);
    checkArgument(!layers.isEmpty(), "layers: expected at least one");
    GroupedBasis first = layers.get(0).basis();
    for (int i = 1; i < layers.size(); i++) {
      GroupedBasis basis = layers.get(i).basis();
      checkArgument(
          basis.kvHeads() == first.kvHeads()
              && basis.headDim() == first.headDim()
              && basis.heads() == first.heads(),
          "layers[%s]: expected the sizes of layer 0",
          i);
    }
  }
}
