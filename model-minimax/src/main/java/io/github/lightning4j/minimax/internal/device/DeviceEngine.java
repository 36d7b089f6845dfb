package io.github.lightning4j.minimax.internal.device;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaException;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.CachePlan;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.Engine;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.SequenceMemory;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Runs batches on a GPU, one after another. Activations are BF16, sums and logits F32. Steps of one
 * token for each sequence run as a graph.
 */
public final class DeviceEngine implements Engine {
  private final MemoryScope scope = new MemoryScope();
  private final MiniMaxConfig config;
  private final CudaStream stream;
  private final DeviceOperators operators;
  private final DevicePass pass;
  private final DeviceScratch scratch;
  private final SequencePool pool;
  private final DecodeGraphs graphs;
  private final FetchedLogits fetched;
  private @Nullable StepInputs inputs;
  private int moves;
  private boolean idle = true;

  private DeviceEngine(
      MiniMaxConfig config,
      CachePlan plan,
      CudaStream stream,
      Function<MemoryScope, DeviceWeights> weights) {
    this.config = config;
    this.stream = scope.add(stream);
    try {
      this.operators = scope.add(DeviceOperators.on(stream));
      this.pass = new DevicePass(config, weights.apply(scope));
      this.scratch = scope.add(new DeviceScratch(stream));
      this.pool = scope.add(new SequencePool(stream, config, plan));
      this.graphs = scope.add(new DecodeGraphs(stream));
      this.fetched = scope.add(new FetchedLogits(stream));
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /**
   * Copies weights to a GPU, and takes memory for caches there.
   *
   * @param plan the only one that sequences can have
   * @throws IllegalStateException if there is no CUDA, with what is missing and how to get it
   * @throws IllegalArgumentException if there is no such device, or the model or its caches have a
   *     part that does not run there
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the weights do not fit;
   *     nothing stays allocated then
   */
  public static DeviceEngine load(
      Device device, MiniMaxConfig config, CachePlan plan, ModelWeights weights) {
    checkRunnable(device, config);
    DeviceFormats.configs(config, plan);
    CudaStream stream = CudaStream.open(CudaDevice.of(device.index()));
    return new DeviceEngine(
        config, plan, stream, scope -> ModelUpload.copy(config, weights, stream, scope));
  }

  private static void checkRunnable(Device device, MiniMaxConfig config) {
    checkArgument(
        config.experts().sharedIntermediateSize() == 0,
        "device: a model with a shared expert runs on the CPU only; leave %s out",
        device);
  }

  /**
   * An engine over random weights, made on the GPU.
   *
   * @param format of the layers' matrices; null for bf16
   * @throws IllegalStateException as above
   * @throws IllegalArgumentException as above
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException as above
   */
  public static DeviceEngine random(
      Device device, MiniMaxConfig config, CachePlan plan, @Nullable QuantFormat format) {
    checkRunnable(device, config);
    DeviceFormats.configs(config, plan);
    CudaStream stream = CudaStream.open(CudaDevice.of(device.index()));
    return new DeviceEngine(
        config, plan, stream, scope -> RandomWeights.of(config, format, stream, scope));
  }

  /** What copies of so many bytes on the GPU read and write a second. */
  public synchronized double copyBytesPerSecond(long bytes) {
    return CopyRate.measure(stream, bytes);
  }

  /** Tokens that {@link #freeRun} adds to each sequence. */
  public static int freeRunTokens(int steps) {
    return steps + FreeRun.WARM_UP + 1;
  }

  /** Puts tokens into a sequence that nobody read, for {@link #freeRun} behind them. */
  public synchronized void skip(SequenceState state, long tokens) {
    BatchLayout.advance(state, tokens);
  }

  /** Waits for all work. */
  public synchronized void finish() {
    stream.synchronize();
  }

  /**
   * Writes greedily without the host, behind keys and values of zeros: those of all sequences are
   * cleared.
   *
   * @param batch one token for each sequence, with room for {@link #freeRunTokens}
   * @return milliseconds of all steps that count
   */
  public synchronized float freeRun(TokenBatch batch, int steps) {
    pool.clear();
    BatchLayout layout = new BatchLayout(batch);
    float milliseconds = new FreeRun(pass, begin(layout)).milliseconds(steps);
    idle = true;
    for (TokenBatch.Segment segment : batch.segments()) {
      BatchLayout.advance(segment.state(), freeRunTokens(steps));
    }
    return milliseconds;
  }

  @Override
  public synchronized SequenceMemory newMemory(CachePlan plan) {
    checkArgument(
        plan.format().equals(pool.plan().format()),
        "caches: a model on a GPU has caches of one format, here %s, got %s",
        pool.plan().format().name(),
        plan.format().name());
    return new DeviceMemory(this, pool.open());
  }

  @Override
  public int mostSequences() {
    return SequencePool.MOST_SEQUENCES;
  }

  @Override
  public synchronized void lastLogits(
      TokenBatch batch, ForwardObserver observer, List<float[]> outLogits) {
    BatchLayout layout = new BatchLayout(batch);
    DeviceStep step = begin(layout);
    boolean decode = layout.shape().stretches() == 0 && !layout.hasPictures();
    Tensor logits =
        decode
            ? graphs.run(layout.shape().sequences(), this::epoch, () -> run(layout, step))
            : run(layout, step);
    layout.give(fetch(logits), outLogits);
    layout.advance();
  }

  private Tensor run(BatchLayout layout, DeviceStep step) {
    return pass.lastLogits(step, hidden -> layout.insert(this::upload, hidden));
  }

  @Override
  public synchronized void allLogits(TokenBatch batch, ForwardObserver observer, Tensor outLogits) {
    BatchLayout layout = new BatchLayout(batch);
    DeviceStep step = begin(layout);
    outLogits.copyFrom(fetch(pass.allLogits(step, rows -> layout.insert(this::upload, rows))));
    layout.advance();
  }

  @Override
  public void checkObserver(ForwardObserver observer) {
    checkArgument(
        observer == ForwardObserver.NONE,
        "observer: the inside of a model shows on the CPU only; load it there");
  }

  @Override
  public Drafts newDrafts() {
    return new DeviceDrafts(stream.device(), config);
  }

  @Override
  public synchronized void commit(SequenceState state, Drafts drafts, int accepted) {
    DeviceDrafts ours = (DeviceDrafts) drafts;
    if (accepted < ours.tokens()) {
      ours.restore(stream, pool.states(), DeviceMemory.of(state).slot());
      pass.commit(operators, pool, ours, accepted);
    }
    BatchLayout.advance(state, accepted);
  }

  private DeviceStep begin(BatchLayout layout) {
    int rows = layout.shape().rows();
    if (inputs == null || inputs.capacity() < rows) {
      StepInputs larger = new StepInputs(stream, Math.max(16, rows));
      if (inputs != null) {
        inputs.close();
      }
      inputs = larger;
      moves++;
    }
    if (!idle) {
      stream.synchronize(); // a step that failed half way may still read what is written next
    }
    idle = false;
    layout.fill(inputs);
    pool.pages().publish(stream);
    inputs.send(stream);
    for (Piece piece : layout.pieces()) {
      if (piece.drafts() != null) {
        piece.drafts().keep(stream, pool.states(), piece.memory().slot(), piece.rows());
      }
    }
    return new DeviceStep(layout.shape(), layout.pieces(), inputs, scratch, pool, operators);
  }

  /** Changes when memory that graphs know has moved. */
  private long epoch() {
    return (long) moves + scratch.moves() + pool.states().moves();
  }

  /** Waits for logits and brings them to the host, until the next call. */
  private Tensor fetch(Tensor logits) {
    Tensor here = fetched.from(logits);
    idle = true;
    return here;
  }

  /** Rows of pictures, rounded; waits, since a picture is read once. */
  private void upload(Tensor from, Tensor to) {
    try (Tensor rounded = Tensor.allocate(DType.BF16, from.shape())) {
      rounded.copyFrom(from);
      stream.copy(rounded, to);
      stream.synchronize();
    }
  }

  CachePlan plan() {
    return pool.plan();
  }

  /** What the pool says. */
  synchronized <T> T pool(Function<SequencePool, T> question) {
    return question.apply(pool);
  }

  /** Changes what the pool has of a sequence, between steps. */
  synchronized void update(Consumer<SequencePool> change) {
    change.accept(pool);
  }

  @Override
  public synchronized void close() {
    try {
      stream.synchronize();
    } catch (CudaException e) {
      // Whoever ran the step was told; what is left to do is to let go of everything.
    } finally {
      if (inputs != null) {
        inputs.close();
      }
      scope.close();
    }
  }
}
