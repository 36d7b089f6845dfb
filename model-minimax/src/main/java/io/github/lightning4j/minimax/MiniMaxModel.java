package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.base.Supplier;
import com.google.common.base.Suppliers;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.SystemMemory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.internal.CachePlan;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.Engine;
import io.github.lightning4j.minimax.internal.ExpertRange;
import io.github.lightning4j.minimax.internal.HostEngine;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.Operators;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.device.DeviceEngine;
import io.github.lightning4j.minimax.vision.RgbImage;
import io.github.lightning4j.minimax.vision.VisionConfig;
import io.github.lightning4j.minimax.vision.internal.ImageEncoder;
import io.github.lightning4j.minimax.vision.internal.TileObserver;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankMismatchException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;

/**
 * A loaded model: immutable weights and the layers over them. Thread-safe; any number of sessions
 * may run at once.
 *
 * <pre>{@code
 * try (MiniMaxModel model = MiniMaxModel.load(Path.of("models/minimax-nano"));
 *     Session session = model.newSession()) {
 *   float[] logits = session.prefill(1404, 349, 262);
 * }
 * }</pre>
 *
 * <p>Close all sessions before the model.
 */
public final class MiniMaxModel implements AutoCloseable {
  private final Checkpoint checkpoint;
  private final LoadOptions options;
  private final Engine engine;
  private final Optional<ImageEncoder> encoder;

  private final Map<KvCacheFormat, CachePlan> plans = new ConcurrentHashMap<>();
  private final ReentrantReadWriteLock use = new ReentrantReadWriteLock();
  private final Supplier<String> fingerprint;
  private final PageReserve pages;
  private volatile boolean closed;

  private MiniMaxModel(Checkpoint checkpoint, LoadOptions options) {
    this.checkpoint = checkpoint;
    this.options = options;
    this.pages = new PageReserve(options.cacheBudget());
    this.fingerprint = Suppliers.memoize(() -> ModelFingerprint.of(checkpoint));
    Operators operators = options.backend().map(Operators::of).orElseGet(Operators::best);
    this.encoder =
        checkpoint
            .visionWeights()
            .map(weights -> new ImageEncoder(vision().orElseThrow(), weights, operators));
    CachePlan plan = plan(options.cacheFormat());
    plans.put(options.cacheFormat(), plan);
    this.engine =
        options.device().kind() == Device.Kind.CPU
            ? new HostEngine(config(), checkpoint.weights(), operators)
            : DeviceEngine.load(
                options.device(),
                config(),
                plan,
                checkpoint.weights(),
                checkpoint.experts(),
                options.ranks());
  }

  /** Loads a checkpoint folder with {@link LoadOptions#DEFAULT}. */
  public static MiniMaxModel load(Path folder) {
    return load(folder, LoadOptions.DEFAULT);
  }

  /**
   * Loads a checkpoint folder.
   *
   * @throws io.github.lightning4j.core.CheckpointException if something is missing or broken
   * @throws IllegalArgumentException if the checkpoint cannot be held in the formats asked for, or
   *     the format of caches does not fit it
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if weights that are to be
   *     quantized do not fit the memory
   * @throws io.github.lightning4j.kvquant.calibration.CalibrationException if the calibration file
   *     is broken or of another model
   * @throws IllegalStateException if a forced backend, CUDA for a GPU, or NCCL for ranks is not
   *     available
   * @throws io.github.lightning4j.moe.comm.RankMismatchException if ranks load another checkpoint,
   *     or in another way
   * @throws io.github.lightning4j.moe.comm.RankFailedException if another rank fails to load
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the weights do not fit the
   *     GPU
   */
  public static MiniMaxModel load(Path folder, LoadOptions options) {
    try {
      return loadShare(folder, options);
    } catch (RankMismatchException e) {
      throw e; // all ranks know
    } catch (RuntimeException | Error e) {
      options.ranks().ifPresent(ranks -> ranks.fail(e));
      throw e;
    }
  }

  private static MiniMaxModel loadShare(Path folder, LoadOptions options) {
    int ranks = options.ranks().map(Communicator::size).orElse(1);
    int rank = options.ranks().map(Communicator::rank).orElse(0);
    Checkpoint checkpoint =
        Checkpoint.open(
            folder,
            options.weights(),
            config -> ExpertRange.of(config, rank, ranks),
            options.placement(),
            SystemMemory.available() / ranks,
            options.progress());
    try {
      options.ranks().ifPresent(others -> checkSame(others, checkpoint, options));
      if (options.checkWeights()) {
        checkpoint.checkWeights(options.progress());
      }
      return new MiniMaxModel(checkpoint, options);
    } catch (RuntimeException | Error e) {
      checkpoint.close();
      throw e;
    }
  }

  private static void checkSame(Communicator ranks, Checkpoint checkpoint, LoadOptions options) {
    ranks.checkSame("the checkpoint", ModelFingerprint.of(checkpoint));
    ranks.checkSame(
        "how the model is loaded",
        "weights %s, caches %s in %d bytes, chunks of %d"
            .formatted(
                checkpoint.formats(),
                options.cacheFormat().name(),
                options.cacheBudget().limit(),
                options.prefillChunk()));
  }

  /** The hyperparameters. */
  public MiniMaxConfig config() {
    return checkpoint.config();
  }

  /** What its vision side says of itself; empty if it reads text only. */
  public Optional<VisionConfig> vision() {
    return checkpoint.vision();
  }

  /** The folder it was loaded from. */
  public Path folder() {
    return checkpoint.folder();
  }

  /** How its weights are held. */
  public WeightFormats weightFormats() {
    return checkpoint.formats();
  }

  /** What a token costs by the weights alone. */
  public StepCost stepCost() {
    checkOpen();
    return StepCost.of(config(), checkpoint.weights());
  }

  /** How it was loaded. */
  public LoadOptions options() {
    return options;
  }

  /**
   * A session before its first token.
   *
   * @throws IllegalStateException if the model is closed
   */
  public Session newSession() {
    checkOpen();
    return newSession(options.cacheFormat());
  }

  /**
   * A session before its first token, with caches of another format than the model's options say.
   *
   * @throws IllegalArgumentException if the model's heads do not fit the format, or it cannot do
   *     without a calibration and has none
   * @throws io.github.lightning4j.kvquant.calibration.CalibrationException if the calibration file
   *     is broken or of another model
   * @throws IllegalStateException if the model is closed
   */
  public Session newSession(KvCacheFormat format) {
    return new Session(this, emptyState(format));
  }

  SequenceState emptyState(KvCacheFormat format) {
    checkOpen();
    return new SequenceState(engine.newMemory(plans.computeIfAbsent(format, this::plan)));
  }

  private CachePlan plan(KvCacheFormat format) {
    Calibration calibration =
        format.calibration().map(file -> CalibrationFile.read(file, fingerprint())).orElse(null);
    return new CachePlan(config(), format, calibration, pages.budget());
  }

  /** What steps take their pages of. */
  PageReserve pages() {
    return pages;
  }

  /** The weights, for {@link KvCalibration}. */
  ModelWeights weights() {
    return checkpoint.weights();
  }

  /**
   * A session as {@link Session#snapshot} left it.
   *
   * @throws io.github.lightning4j.core.CheckpointException if the file is broken, of another model,
   *     or its caches are quantized in another format than the options say
   */
  public Session restore(Path snapshot) {
    checkOpen();
    return SessionSnapshot.read(this, snapshot);
  }

  /**
   * A prompt with pictures: all of them go through the vision tower now.
   *
   * @param ids tokens, with {@link VisionConfig#imageToken} once for each picture
   * @param images the pictures in the order of their placeholders; none for a model that reads text
   *     only
   * @return to be closed by the caller, before the model
   * @throws IllegalArgumentException if there are more or fewer placeholders than pictures, a token
   *     is outside the vocabulary, or the prompt, whose pictures take as many tokens as {@link
   *     io.github.lightning4j.minimax.vision.TileLayout#tokens} tells, does not fit the context
   * @throws io.github.lightning4j.minimax.vision.ImageException if a picture is too thin
   * @throws IllegalStateException if the model is closed
   */
  public ImagePrompt imagePrompt(int[] ids, List<RgbImage> images) {
    checkOpen();
    return ImagePrompt.of(this, ids, images);
  }

  /** Writes the rows of a picture. */
  void encode(RgbImage image, Tensor outRows) {
    use.readLock().lock();
    try {
      checkOpen();
      encoder
          .orElseThrow()
          .encode(vision().orElseThrow().preprocessor().tiles(image), TileObserver.NONE, outRows);
    } finally {
      use.readLock().unlock();
    }
  }

  /**
   * Tells this model from another of the same config, as calibration files do; computed when first
   * asked for.
   */
  public String fingerprint() {
    checkOpen();
    return fingerprint.get();
  }

  /** As {@link Engine#checkObserver}. */
  void checkObserver(ForwardObserver observer) {
    engine.checkObserver(observer);
  }

  /** As {@link Engine#newDrafts}. */
  Drafts newDrafts() {
    return engine.newDrafts();
  }

  /** The most sessions that may be open at once: 256 on a GPU, as many as one likes on the CPU. */
  public int mostSessions() {
    return engine.mostSequences();
  }

  /** Runs layers; the model stays open meanwhile. */
  void run(Consumer<Engine> work) {
    use.readLock().lock();
    try {
      checkOpen();
      work.accept(engine);
    } finally {
      use.readLock().unlock();
    }
  }

  private void checkOpen() {
    checkState(!closed, "model %s is closed", folder());
  }

  /**
   * Frees scratch memory and unmaps the weights.
   *
   * @throws IllegalStateException if closed already, or if a session is running; nothing has
   *     changed then
   */
  @Override
  public void close() {
    checkState(use.writeLock().tryLock(), "model %s is in use by a running session", folder());
    try {
      checkState(!closed, "model %s is closed already", folder());
      closed = true;
      try {
        engine.close();
      } finally {
        checkpoint.close();
      }
    } finally {
      use.writeLock().unlock();
    }
  }
}
