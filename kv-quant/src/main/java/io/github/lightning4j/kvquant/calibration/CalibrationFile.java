package io.github.lightning4j.kvquant.calibration;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.kvquant.calibration.CalibrationException.Reason;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Calibrations as safetensors files, version {@value #VERSION}.
 *
 * <pre>
 *   metadata                      format, version, model, corpus, split, tokens,
 *                                 layers, kv_heads, head_dim, group_heads
 *   layers.I.key.permutation      U16 [kvHeads headDim]
 *   layers.I.key.mean             F32 [kvHeads headDim]
 *   layers.I.key.forward          F32 [kvHeads, headDim, headDim], with key.inverse, value.forward and
 *                                 value.inverse where there are dense pairs
 *   layers.I.attention.text_salience  F64 [1] where it was measured
 * </pre>
 */
public final class CalibrationFile {
  /** The version that is written, and the only one that is read. */
  public static final String VERSION = "1";

  private static final String TEXT_SALIENCE = ".attention.text_salience";
  private static final String FORMAT = "lightning4j-kv-calibration";

  private CalibrationFile() {}

  /**
   * Writes a file, whole or not at all; transforms are rounded to fp32.
   *
   * @throws java.io.UncheckedIOException if the system fails to write
   */
  public static void write(Path file, Calibration calibration) {
    GroupedBasis basis = calibration.layers().get(0).basis();
    CalibrationSource source = calibration.source();
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", FORMAT);
    metadata.put("version", VERSION);
    metadata.put("model", source.modelHash());
    metadata.put("corpus", source.corpus());
    metadata.put("split", source.split());
    metadata.put("tokens", Long.toString(source.tokens()));
    metadata.put("layers", Integer.toString(calibration.layers().size()));
    metadata.put("kv_heads", Integer.toString(basis.kvHeads()));
    metadata.put("head_dim", Integer.toString(basis.headDim()));
    metadata.put("group_heads", Integer.toString(basis.heads()));
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (int i = 0; i < calibration.layers().size(); i++) {
        put(tensors, scope, "layers." + i, calibration.layers().get(i));
      }
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  private static void put(
      Map<String, Tensor> tensors, MemoryScope scope, String name, LayerCalibration layer) {
    int[] order = layer.basis().permutation();
    Tensor permutation = scope.allocate(DType.U16, order.length);
    Elements to = permutation.accessor();
    for (int i = 0; i < order.length; i++) {
      to.setLong(i, order[i]);
    }
    tensors.put(name + ".key.permutation", permutation);
    tensors.put(name + ".key.mean", scope.add(Tensor.of(layer.keyMean(), order.length)));
    putPairs(tensors, scope, name + ".key", layer.keyPairs());
    putPairs(tensors, scope, name + ".value", layer.valuePairs());
    if (layer.textSalience().isPresent()) {
      double[] salience = {layer.textSalience().getAsDouble()};
      tensors.put(name + TEXT_SALIENCE, scope.add(Tensor.of(salience, 1)));
    }
  }

  private static void putPairs(
      Map<String, Tensor> tensors, MemoryScope scope, String name, List<DensePair> pairs) {
    if (pairs.isEmpty()) {
      return;
    }
    int dim = pairs.get(0).dim();
    Tensor forward = scope.allocate(DType.F32, pairs.size(), dim, dim);
    Tensor inverse = scope.allocate(DType.F32, pairs.size(), dim, dim);
    Elements toForward = forward.accessor();
    Elements toInverse = inverse.accessor();
    for (int h = 0; h < pairs.size(); h++) {
      for (int i = 0; i < dim * dim; i++) {
        toForward.set((long) h * dim * dim + i, pairs.get(h).forward()[i]);
        toInverse.set((long) h * dim * dim + i, pairs.get(h).inverse()[i]);
      }
    }
    tensors.put(name + ".forward", forward);
    tensors.put(name + ".inverse", inverse);
  }

  /**
   * Reads a file that was made for a model.
   *
   * @param modelHash the model's, as it was given when the calibration was made
   * @throws CalibrationException with the reason if the file cannot be used
   */
  public static Calibration read(Path file, String modelHash) {
    try (SafetensorsFile stored = SafetensorsFile.open(file)) {
      return read(stored, file, modelHash);
    } catch (CheckpointException | IllegalArgumentException e) {
      throw new CalibrationException(file, Reason.BROKEN, "broken: " + e.getMessage(), e);
    }
  }

  private static Calibration read(SafetensorsFile stored, Path file, String modelHash) {
    Map<String, String> metadata = stored.metadata();
    if (!FORMAT.equals(metadata.get("format"))) {
      throw new CalibrationException(
          file,
          Reason.BROKEN,
          "expected format '" + FORMAT + "', got '" + metadata.get("format") + "'",
          null);
    }
    if (!VERSION.equals(metadata.get("version"))) {
      throw new CalibrationException(
          file,
          Reason.VERSION,
          "expected version "
              + VERSION
              + ", got "
              + metadata.get("version")
              + "; calibrate the model again",
          null);
    }
    CalibrationSource source =
        new CalibrationSource(
            text(metadata, "model"),
            text(metadata, "corpus"),
            text(metadata, "split"),
            Long.parseLong(text(metadata, "tokens")));
    if (!source.modelHash().equals(modelHash)) {
      throw new CalibrationException(
          file,
          Reason.OTHER_MODEL,
          "made for the model "
              + source.modelHash()
              + ", expected "
              + modelHash
              + "; calibrate this model",
          null);
    }
    List<LayerCalibration> layers = new ArrayList<>();
    for (int i = 0; i < number(metadata, "layers"); i++) {
      layers.add(layer(stored, metadata, "layers." + i));
    }
    return new Calibration(source, layers);
  }

  private static LayerCalibration layer(
      SafetensorsFile stored, Map<String, String> metadata, String name) {
    int kvHeads = number(metadata, "kv_heads");
    int headDim = number(metadata, "head_dim");
    int channels = Math.multiplyExact(kvHeads, headDim);
    double[] order = values(stored, name + ".key.permutation", DType.U16, channels);
    double[] mean = values(stored, name + ".key.mean", DType.F32, channels);
    float[] keyMean = new float[channels];
    for (int i = 0; i < channels; i++) {
      keyMean[i] = (float) mean[i];
    }
    return new LayerCalibration(
        new GroupedBasis(
            kvHeads,
            headDim,
            number(metadata, "group_heads"),
            Arrays.stream(order).mapToInt(i -> (int) i).toArray()),
        keyMean,
        pairs(stored, name + ".key", kvHeads, headDim),
        pairs(stored, name + ".value", kvHeads, headDim),
        stored.names().contains(name + TEXT_SALIENCE)
            ? OptionalDouble.of(values(stored, name + TEXT_SALIENCE, DType.F64, 1)[0])
            : OptionalDouble.empty());
  }

  private static List<DensePair> pairs(
      SafetensorsFile stored, String name, int kvHeads, int headDim) {
    List<DensePair> pairs = new ArrayList<>();
    if (stored.names().contains(name + ".forward")) {
      int size = headDim * headDim;
      double[] forward = values(stored, name + ".forward", DType.F32, kvHeads, headDim, headDim);
      double[] inverse = values(stored, name + ".inverse", DType.F32, kvHeads, headDim, headDim);
      for (int h = 0; h < kvHeads; h++) {
        pairs.add(
            new DensePair(
                headDim,
                Arrays.copyOfRange(forward, h * size, (h + 1) * size),
                Arrays.copyOfRange(inverse, h * size, (h + 1) * size)));
      }
    }
    return pairs;
  }

  private static double[] values(SafetensorsFile stored, String name, DType type, long... shape) {
    Tensor tensor = stored.tensor(name);
    if (tensor.dtype() != type || !Arrays.equals(tensor.shape(), shape)) {
      throw new IllegalArgumentException(
          name
              + ": expected "
              + type
              + " "
              + Arrays.toString(shape)
              + ", got "
              + tensor.dtype()
              + " "
              + Arrays.toString(tensor.shape()));
    }
    return tensor.toDoubles();
  }

  private static String text(Map<String, String> metadata, String key) {
    String value = metadata.get(key);
    if (value == null) {
      throw new IllegalArgumentException("metadata: expected '" + key + "', which is missing");
    }
    return value;
  }

  private static int number(Map<String, String> metadata, String key) {
    return Integer.parseInt(text(metadata, key)); // NumberFormatException is an IllegalArgument
  }
}
