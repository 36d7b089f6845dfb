package io.github.lightning4j.minimax;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.minimax.internal.ExpertRange;
import io.github.lightning4j.minimax.internal.WeightPlan;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What a checkpoint is and needs, told from {@code config.json} and the tensor index alone; the
 * shards may be absent.
 *
 * @param folder the checkpoint
 * @param config its hyperparameters
 * @param parameters parameters by role
 * @param activeParameters parameters that work on one token: everything but embedding, head, vision
 *     side, and the experts that are not chosen
 * @param storedBytes bytes of all tensors, as the index or the files say; 0 if neither does
 * @param storedAs what element types those bytes mean
 * @param missingShards files the index names that are not there
 */
public record ModelReport(
    Path folder,
    MiniMaxConfig config,
    Map<WeightRole, Long> parameters,
    long activeParameters,
    long storedBytes,
    String storedAs,
    List<String> missingShards) {

  /**
   * Looks at a checkpoint folder.
   *
   * @throws io.github.lightning4j.core.CheckpointException if config or index are missing or broken
   */
  public static ModelReport inspect(Path folder) {
    MiniMaxConfig config = MiniMaxConfig.load(folder);
    StoredTensors stored = StoredTensors.of(folder);
    if (stored.missingShards().isEmpty()) {
      // All is there, so it must also be what the config says.
      Checkpoint.open(folder).close();
    }
    WeightPlan plan = WeightPlan.of(config, stored.names());
    Map<WeightRole, Long> parameters = new EnumMap<>(WeightRole.class);
    plan.entries()
        .values()
        .forEach(entry -> parameters.merge(entry.role(), entry.parameters(), Long::sum));
    VisionConfigReader.read(folder)
        .ifPresent(
            vision -> parameters.put(WeightRole.VISION, vision.parameters(config.hiddenSize())));
    return new ModelReport(
        folder,
        config,
        parameters,
        active(config, parameters),
        stored.bytes(),
        stored
            .coded()
            .map(formats -> "quantized as " + formats)
            .orElseGet(() -> storedAs(parameters, stored.bytes())),
        stored.missingShards());
  }

  private static long active(MiniMaxConfig config, Map<WeightRole, Long> parameters) {
    long experts = parameters.getOrDefault(WeightRole.EXPERT, 0L);
    long idle =
        experts
            / config.experts().experts()
            * (config.experts().experts() - config.experts().expertsPerToken());
    return parameters.values().stream().mapToLong(Long::longValue).sum()
        - idle
        - parameters.getOrDefault(WeightRole.EMBEDDING, 0L)
        - parameters.getOrDefault(WeightRole.HEAD, 0L)
        - parameters.getOrDefault(WeightRole.VISION, 0L);
  }

  /** Which element types explain the byte count, tried from the likeliest on. */
  private static String storedAs(Map<WeightRole, Long> parameters, long bytes) {
    long total = parameters.values().stream().mapToLong(Long::longValue).sum();
    long router = parameters.getOrDefault(WeightRole.ROUTER, 0L);
    if (bytes == 0) {
      return "unknown: the index tells no size and shards are missing";
    }
    if (bytes == 2 * total + 2 * router) {
      return "16-bit weights, fp32 router weights";
    }
    if (bytes == 2 * total) {
      return "16-bit weights";
    }
    if (bytes == 4 * total) {
      return "fp32 weights";
    }
    return String.format(
        Locale.ROOT, "%.2f bytes a parameter: mixed types", bytes / (double) total);
  }

  /** All parameters. */
  public long totalParameters() {
    return parameters.values().stream().mapToLong(Long::longValue).sum();
  }

  /** Bytes of all weights in a format. */
  public long weightBytes(StorageFormat format) {
    return weightBytes(format, 1);
  }

  /**
   * Bytes of the weights that each rank holds where ranks share the experts out: of the first one,
   * where they do not divide evenly.
   *
   * @throws IllegalArgumentException if there are more ranks than experts of a layer
   */
  public long weightBytes(StorageFormat format, int ranks) {
    ExpertRange held = ExpertRange.of(config, 0, ranks);
    double share = held.count() / (double) held.all();
    return Math.round(
        parameters.entrySet().stream()
            .mapToDouble(
                entry ->
                    entry.getValue()
                        * format.bytes(entry.getKey())
                        * (entry.getKey() == WeightRole.EXPERT ? share : 1))
            .sum());
  }

  /** Bytes of weights that a decode step of one sequence reads: the active ones and the head. */
  public long decodeBytes(StorageFormat format) {
    double chosen = config.experts().expertsPerToken() / (double) config.experts().experts();
    WeightRole head = config.tiedEmbeddings() ? WeightRole.HEAD : WeightRole.EMBEDDING;
    return Math.round(
        parameters.entrySet().stream()
            .filter(entry -> entry.getKey() != head && entry.getKey() != WeightRole.VISION)
            .mapToDouble(
                entry ->
                    entry.getValue()
                        * format.bytes(entry.getKey())
                        * (entry.getKey() == WeightRole.EXPERT ? chosen : 1))
            .sum());
  }

  /**
   * The most tokens a second a single sequence can decode at short context: bandwidth over {@link
   * #decodeBytes}.
   *
   * @param bytesPerSecond memory bandwidth
   */
  public double decodeFloor(StorageFormat format, double bytesPerSecond) {
    return bytesPerSecond / decodeBytes(format);
  }

  /** Bytes of key-value cache for each token. */
  public long kvBytesPerToken(DType cacheType) {
    return config.kvBytesPerToken(cacheType.bytes());
  }

  /** Bytes of lightning state for each sequence. */
  public long stateBytes() {
    return config.stateBytes();
  }

  /** The layers in words, such as {@code 70 lightning, 10 softmax}. */
  public String layerSummary() {
    return config.layers().stream()
        .collect(Collectors.groupingBy(kind -> kind, TreeMap::new, Collectors.counting()))
        .entrySet()
        .stream()
        .map(entry -> entry.getValue() + " " + entry.getKey().name().toLowerCase(Locale.ROOT))
        .collect(Collectors.joining(", "));
  }
}
