package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.SystemMemory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.minimax.internal.ExpertRange;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.RenamedTensors;
import io.github.lightning4j.minimax.internal.WeightBinder;
import io.github.lightning4j.minimax.vision.VisionConfig;
import io.github.lightning4j.minimax.vision.internal.ReleasedNames;
import io.github.lightning4j.minimax.vision.internal.VisionBinder;
import io.github.lightning4j.minimax.vision.internal.VisionWeights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint folder: {@code config.json} and mapped safetensors, one file or many with an index,
 * in the released layout, in transformers' fused one, or quantized by {@link #save}; that of
 * MiniMax-VL-01, under the released names or those of transformers, with the weights of its vision
 * side, which keep their types. Weights held as they are stored are views of the mapping; others
 * are made while opening. Closing frees and unmaps, so it must outlive its models.
 */
public final class Checkpoint implements AutoCloseable {
  private final Path folder;
  private final MiniMaxConfig config;
  private final WeightFormats formats;
  private final ExpertRange experts;
  private final Safetensors source;
  private final MemoryScope made;
  private final WeightBinder.Bound bound;
  private final @Nullable Vision vision;

  /** The vision side. */
  private record Vision(VisionConfig config, VisionBinder.Bound bound) {}

  private Checkpoint(
      Path folder,
      MiniMaxConfig config,
      WeightFormats formats,
      ExpertRange experts,
      Safetensors source,
      MemoryScope made,
      WeightBinder.Bound bound,
      @Nullable Vision vision) {
    this.folder = folder;
    this.config = config;
    this.formats = formats;
    this.experts = experts;
    this.source = source;
    this.made = made;
    this.bound = bound;
    this.vision = vision;
  }

  /**
   * Maps a checkpoint and finds every weight the config asks for.
   *
   * @throws CheckpointException if a file is missing or broken, or a tensor is missing, unexpected,
   *     or of another shape or type; nothing stays mapped then
   */
  public static Checkpoint open(Path folder) {
    return open(folder, WeightFormats.STORED, ProgressListener.NONE);
  }

  /**
   * As {@link #open(Path)}, with weights in certain formats, which takes one read of those that are
   * to change. They go through memory one by one: there are never two copies of them.
   *
   * @param formats how weights are to be held; a quantized checkpoint is opened with {@link
   *     WeightFormats#STORED} or with its own
   * @param progress told after every layer
   * @throws CheckpointException as above, or if a weight that is to be quantized is NaN or infinite
   * @throws IllegalArgumentException if head and embedding are one matrix and are asked for in two
   *     formats, or the checkpoint is quantized otherwise already
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if what is to be made does not
   *     fit the memory; nothing stays mapped then
   */
  public static Checkpoint open(Path folder, WeightFormats formats, ProgressListener progress) {
    return open(folder, formats, WeightPlacement.MAPPED, SystemMemory.available(), progress);
  }

  static Checkpoint open(
      Path folder,
      WeightFormats formats,
      WeightPlacement placement,
      long available,
      ProgressListener progress) {
    return open(folder, formats, ExpertRange::all, placement, available, progress);
  }

  /**
   * The same.
   *
   * @param share the experts that are wanted; others are not read
   */
  static Checkpoint open(
      Path folder,
      WeightFormats formats,
      Function<MiniMaxConfig, ExpertRange> share,
      WeightPlacement placement,
      long available,
      ProgressListener progress) {
    if (!Files.isDirectory(folder)) {
      throw new CheckpointException(folder, "expected a checkpoint folder");
    }
    MiniMaxConfig config = MiniMaxConfig.load(folder);
    Optional<VisionConfig> pictures = VisionConfigReader.read(folder);
    Safetensors source = Safetensors.open(folder);
    MemoryScope made = new MemoryScope();
    try {
      Optional<WeightFormats> coded = QuantizedCheckpoint.formats(source);
      WeightFormats held = resolved(config, folder, formats, coded);
      ExpertRange experts = share.apply(config);
      WeightBinder.Wish wish =
          new WeightBinder.Wish(held, experts, coded.isPresent(), placement, available);
      Safetensors named = pictures.isPresent() ? ReleasedNames.of(source) : source;
      WeightBinder.Bound bound =
          pictures.isPresent()
              ? bindWithin(config, named, wish, made, progress)
              : WeightBinder.bind(config, named, wish, made, progress);
      Vision vision = pictures.map(told -> vision(told, config, named, made)).orElse(null);
      return new Checkpoint(folder, config, held, experts, source, made, bound, vision);
    } catch (RuntimeException | Error e) {
      made.close();
      source.close();
      throw e;
    }
  }

  /** Binds the text model of a checkpoint that has more; faults tell where its names belong. */
  private static WeightBinder.Bound bindWithin(
      MiniMaxConfig config,
      Safetensors source,
      WeightBinder.Wish wish,
      MemoryScope made,
      ProgressListener progress) {
    try {
      Safetensors text = RenamedTensors.behind(source, VisionBinder.TEXT);
      return WeightBinder.bind(config, text, wish, made, progress);
    } catch (CheckpointException e) {
      String fault = e.getMessage().substring((e.file() + ": ").length());
      throw new CheckpointException(e.file(), VisionBinder.TEXT + "*: " + fault, e);
    }
  }

  private static Vision vision(
      VisionConfig told, MiniMaxConfig config, Safetensors source, MemoryScope made) {
    return new Vision(told, VisionBinder.bind(told, config.hiddenSize(), source, made));
  }

  private static WeightFormats resolved(
      MiniMaxConfig config, Path folder, WeightFormats asked, Optional<WeightFormats> coded) {
    checkArgument(
        coded.isEmpty() || asked.equals(WeightFormats.STORED) || asked.equals(coded.get()),
        "weights: %s is quantized as %s and cannot become %s; take the original",
        folder,
        coded.orElse(asked),
        asked);
    WeightFormats held = coded.orElse(asked);
    checkArgument(
        !config.tiedEmbeddings() || held.head().equals(held.embedding()),
        "weights: head and embedding of %s are one matrix: expected one format for both, got %s"
            + " and %s",
        folder,
        held.head(),
        held.embedding());
    return held;
  }

  /**
   * Writes a checkpoint folder of the weights as they are held here, with config and tokenizer. It
   * opens by mapping, and gives the same logits bit for bit.
   *
   * @param to a new folder, or an empty one; it is so again after a failure
   * @throws IllegalArgumentException if the folder holds something
   * @throws java.io.UncheckedIOException if the system fails to write
   */
  public void save(Path to) {
    Map<String, Tensor> held = new LinkedHashMap<>(bound.held());
    if (vision != null) {
      held.clear();
      bound.held().forEach((name, tensor) -> held.put(VisionBinder.TEXT + name, tensor));
      held.putAll(vision.bound().held());
    }
    QuantizedCheckpoint.write(folder, held, formats, to);
  }

  /**
   * Refuses what {@link #save} would, so that it is known before the weights are read and coded.
   *
   * @throws IllegalArgumentException if it is neither a new folder nor an empty one
   * @throws java.io.UncheckedIOException if the system does not tell
   */
  public static void checkNew(Path to) {
    QuantizedCheckpoint.checkNew(to);
  }

  /** The folder. */
  public Path folder() {
    return folder;
  }

  /** The hyperparameters. */
  public MiniMaxConfig config() {
    return config;
  }

  /** How the weights are held. */
  public WeightFormats formats() {
    return formats;
  }

  /** What the vision side says of itself; empty if the model reads text only. */
  public Optional<VisionConfig> vision() {
    return Optional.ofNullable(vision).map(Vision::config);
  }

  Optional<VisionWeights> visionWeights() {
    return Optional.ofNullable(vision).map(side -> side.bound().weights());
  }

  /** The experts that are held. */
  ExpertRange experts() {
    return experts;
  }

  ModelWeights weights() {
    return bound.weights();
  }

  /**
   * Reads every weight, and every scale of quantized ones.
   *
   * @throws CheckpointException naming the first tensor and an element or scale of it that is NaN
   *     or infinite
   */
  public void checkWeights(ProgressListener progress) {
    long done = 0;
    for (String name : source.names()) {
      progress.progress(done++, source.names().size());
      if (experts.leavesOut(name)) {
        continue;
      }
      Tensor tensor = source.tensor(name);
      if (tensor.dtype().isFloating()) {
        Elements elements = tensor.accessor();
        Threads.forRanges(
            tensor.elements(), 1 << 16, (from, to) -> checkFinite(name, elements, from, to));
      }
    }
    bound.read().forEach(this::checkScales);
    progress.progress(done, done);
  }

  private void checkScales(String name, QuantizedMatrix matrix) {
    try {
      matrix.checkScales();
    } catch (IllegalArgumentException e) {
      String stored = vision == null ? name : VisionBinder.TEXT + name;
      throw new CheckpointException(source.path(), stored + ": " + e.getMessage(), e);
    }
  }

  private void checkFinite(String name, Elements elements, long from, long to) {
    for (long i = from; i < to; i++) {
      if (!Double.isFinite(elements.get(i))) {
        throw new CheckpointException(
            source.path(), name + ": element " + i + " is " + elements.get(i));
      }
    }
  }

  @Override
  public void close() {
    made.close();
    source.close();
  }
}
