package io.github.lightning4j.kvquant.policy;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Map;

/**
 * The format of each layer: the usual one, another for the first and last layers, others for single
 * layers. A single layer's own format goes before the boundary's, and that before the usual one.
 *
 * @param usual the format of all other layers
 * @param boundary the format of the first and last layers
 * @param first layers at the start that take the boundary's format
 * @param last layers at the end that do
 * @param single formats of single layers, by index from 0
 */
public record LayerFormats(
    KvFormat usual, KvFormat boundary, int first, int last, Map<Integer, KvFormat> single) {
  /**
   * Checks the counts and keeps a copy of the map.
   *
   * @throws IllegalArgumentException if a count or an index is negative
   */
  public LayerFormats {
    checkArgument(first >= 0, "first: expected >= 0 layers, got %s", first);
    checkArgument(last >= 0, "last: expected >= 0 layers, got %s", last);
    single = Map.copyOf(single);
    for (int layer : single.keySet()) {
      checkArgument(layer >= 0, "single: expected layers >= 0, got %s", layer);
    }
  }

  /** One format for all layers. */
  public static LayerFormats all(KvFormat format) {
    return new LayerFormats(format, format, 0, 0, Map.of());
  }

  /** The same with another format for the first and last layers. */
  public LayerFormats withBoundary(KvFormat format, int newFirst, int newLast) {
    return new LayerFormats(usual, format, newFirst, newLast, single);
  }

  /** The same with other formats for single layers. */
  public LayerFormats withSingle(Map<Integer, KvFormat> formats) {
    return new LayerFormats(usual, boundary, first, last, formats);
  }

  /**
   * The format of a layer.
   *
   * @param layer from 0
   * @param layers the number of layers that have a cache
   * @throws IllegalArgumentException unless {@code 0 <= layer < layers}, or if a single layer's
   *     format names a layer that there is not
   */
  public KvFormat of(int layer, int layers) {
    checkArgument(
        layer >= 0 && layer < layers, "layer: expected 0 <= layer < %s, got %s", layers, layer);
    for (int named : single.keySet()) {
      checkArgument(
          named < layers, "single: expected layers below %s, got a format for %s", layers, named);
    }
    boolean outer = layer < first || layer >= layers - last;
    return single.getOrDefault(layer, outer ? boundary : usual);
  }
}
