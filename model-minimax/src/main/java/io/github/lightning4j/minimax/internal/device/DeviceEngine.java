package io.github.lightning4j.minimax.internal.device;

import static com.google.common.base.Preconditions.checkArgument;

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
import io.github.lightning4j.minimax.internal.ExpertRange;
import io.github.lightning4j.minimax.internal.ModelWeights;
import io.github.lightning4j.minimax.internal.SequenceMemory;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.moe.comm.Communicator;
import java.util.List;
import java.util.Optional;
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
  private final SequencePool pool;
  private final StepRunner steps;

  private DeviceEngine(
      MiniMaxConfig config,
      CachePlan plan,
      CudaStream stream,
      Function<CudaStream, @Nullable ExpertRanks> join,
      Function<MemoryScope, DeviceWeights> weights) {
    this.config = config;
    this.stream = scope.add(stream);
    ExpertRanks ranks = null;
    try {
      ranks = join.apply(stream);
      if (ranks != null) {
        scope.add(ranks);
      }
      DeviceOperators operators = scope.add(DeviceOperators.on(stream, ranks));
      DevicePass pass = new DevicePass(config, weights.apply(scope));
      this.pool = scope.add(new SequencePool(stream, config, plan, ranks));
      this.steps = scope.add(new StepRunner(pass, operators, pool));
    } catch (RuntimeException | Error e) {
      if (ranks != null) {
        ranks.giveUp(e); // before closing, which waits for ranks that do not know
      }
      scope.close();
      throw e;
    }
  }

  /**
   * Copies weights to a GPU, and takes memory for caches there.
   *
   * @param plan the only one that sequences can have
   * @param experts those that the weights hold
   * @param others the ranks that hold the others, this one among them; empty where all are here
   * @throws IllegalStateException if there is no CUDA, or no NCCL for ranks, with what is missing
   *     and how to get it
   * @throws IllegalArgumentException if there is no such device, or the model or its caches have a
   *     part that does not run there
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the weights do not fit;
   *     nothing stays allocated then
   */
  public static DeviceEngine load(
      Device device,
      MiniMaxConfig config,
      CachePlan plan,
      ModelWeights weights,
      ExpertRange experts,
      Optional<Communicator> others) {
    checkRunnable(device, config);
    DeviceFormats.configs(config, plan);
    CudaStream stream = CudaStream.open(CudaDevice.of(device.index()));
    return new DeviceEngine(
        config,
        plan,
        stream,
        on -> others.map(ranks -> ExpertRanks.join(ranks, experts, on)).orElse(null),
        scope -> ModelUpload.copy(config, weights, stream, scope));
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
        config, plan, stream, on -> null, scope -> RandomWeights.of(config, format, stream, scope));
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
  public synchronized float freeRun(TokenBatch batch, int count) {
    pool.clear();
    float milliseconds = steps.freeRun(new BatchLayout(batch), count);
    for (TokenBatch.Segment segment : batch.segments()) {
      BatchLayout.advance(segment.state(), freeRunTokens(count));
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
    layout.give(steps.lastLogits(layout), outLogits);
    layout.advance();
  }

  @Override
  public synchronized void allLogits(TokenBatch batch, ForwardObserver observer, Tensor outLogits) {
    BatchLayout layout = new BatchLayout(batch);
    outLogits.copyFrom(steps.allLogits(layout));
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
      steps.commit(ours, DeviceMemory.of(state).slot(), accepted);
    }
    BatchLayout.advance(state, accepted);
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
      scope.close();
    }
  }
}
