package io.github.lightning4j.minimax;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.WeightBinder;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A checkpoint folder: {@code config.json} and mapped safetensors, one file or many with an index,
 * in the released layout or in transformers' fused one. Weights are views of the mapping; nothing
 * is copied. Closing unmaps, so it must outlive its models.
 */
public final class Checkpoint implements AutoCloseable {
  private final Path folder;
  private final MiniMaxConfig config;
  private final Safetensors source;
  private final ModelWeights weights;

  private Checkpoint(Path folder, MiniMaxConfig config, Safetensors source, ModelWeights weights) {
    this.folder = folder;
    this.config = config;
    this.source = source;
    this.weights = weights;
  }

  /**
   * Maps a checkpoint and finds every weight the config asks for.
   *
   * @throws CheckpointException if a file is missing or broken, or a tensor is missing, unexpected,
   *     or of another shape or type; nothing stays mapped then
   */
  public static Checkpoint open(Path folder) {
    return open(folder, ProgressListener.NONE);
  }

  /** As {@link #open(Path)}, telling after every layer how far it has come. */
  public static Checkpoint open(Path folder, ProgressListener progress) {
    if (!Files.isDirectory(folder)) {
      throw new CheckpointException(folder, "expected a checkpoint folder");
    }
    MiniMaxConfig config = MiniMaxConfig.load(folder);
    Safetensors source = Safetensors.open(folder);
    try {
      return new Checkpoint(folder, config, source, WeightBinder.bind(config, source, progress));
    } catch (RuntimeException e) {
      source.close();
      throw e;
    }
  }

  /** The folder. */
  public Path folder() {
    return folder;
  }

  /** The hyperparameters. */
  public MiniMaxConfig config() {
    return config;
  }

  ModelWeights weights() {
    return weights;
  }

  /**
   * Reads every weight.
   *
   * @throws CheckpointException naming the first tensor and element that is NaN or infinite
   */
  public void checkWeights(ProgressListener progress) {
    long done = 0;
    for (String name : source.names()) {
      progress.progress(done++, source.names().size());
      Tensor tensor = source.tensor(name);
      if (tensor.dtype().isFloating()) {
        Elements elements = tensor.accessor();
        Threads.forRanges(
            tensor.elements(), 1 << 16, (from, to) -> checkFinite(name, elements, from, to));
      }
    }
    progress.progress(done, done);
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
    source.close();
  }
}
