package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.internal.CachePlan;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.minimax.internal.device.DeviceEngine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Some layers of a model with random weights on a GPU: what a step of a model costs that is too
 * large for the machine, measured on a part of it. Nothing but times comes out.
 *
 * <pre>{@code
 * try (DeviceSlice slice = DeviceSlice.open(Device.cuda(0), MiniMaxConfig.m1(8), WeightFormat.INT8)) {
 *   double step = slice.decodeSeconds(1, 32_768, 32);
 * }
 * }</pre>
 *
 * <p>One thread at a time.
 */
public final class DeviceSlice implements AutoCloseable {
  private static final long SEED = 20251121;

  /** Bytes of a copy that measures: more than the GPU's own cache. */
  private static final long COPIED = 256L << 20;

  private final MiniMaxConfig config;
  private final WeightFormat format;
  private final CachePlan plan;
  private final DeviceEngine engine;

  private DeviceSlice(
      MiniMaxConfig config, WeightFormat format, CachePlan plan, DeviceEngine engine) {
    this.config = config;
    this.format = format;
    this.plan = plan;
    this.engine = engine;
  }

  /** As the other, with keys and values in BF16, in half of the memory that is left. */
  public static DeviceSlice open(Device device, MiniMaxConfig config, WeightFormat format) {
    return open(device, config, format, KvCacheFormat.of("bf16"), PageBudget.unlimited());
  }

  /**
   * Makes the weights on the GPU.
   *
   * @param config of the layers
   * @param format of the layers' matrices but for the router: bf16, or 8 or 4 bits; embedding and
   *     head are bf16
   * @param caches how keys and values are held, without a calibration, which costs no time
   * @param budget what their pages take; half of the memory that is left at most
   * @throws IllegalStateException if there is no CUDA, with what is missing and how to get it
   * @throws IllegalArgumentException if there is no such device, the format is {@link
   *     WeightFormat#STORED}, or a GPU does not have the caches
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the weights do not fit;
   *     nothing stays allocated then
   */
  public static DeviceSlice open(
      Device device,
      MiniMaxConfig config,
      WeightFormat format,
      KvCacheFormat caches,
      PageBudget budget) {
    checkArgument(
        !format.equals(WeightFormat.STORED), "format: expected bf16, int8 or int4, got %s", format);
    CachePlan plan = new CachePlan(config, caches, null, budget);
    DeviceEngine engine = DeviceEngine.random(device, config, plan, format.coding().orElse(null));
    return new DeviceSlice(config, format, plan, engine);
  }

  /** The hyperparameters of the layers that are there. */
  public MiniMaxConfig config() {
    return config;
  }

  /** How matrices are held. */
  public WeightFormat format() {
    return format;
  }

  /** How keys and values are held. */
  public KvCacheFormat caches() {
    return plan.format();
  }

  /** Bytes that the GPU reads and writes a second in copies of its own memory, measured now. */
  public double copyBytesPerSecond() {
    return engine.copyBytesPerSecond(COPIED);
  }

  /**
   * Reads prompts together, as a queue does: each step has an even share of every one.
   *
   * @param sequences how many
   * @param tokens of each
   * @param chunk tokens read at once, of all together; one of each at least
   * @return seconds, the transfer of tokens and of the last logits included, and the quantizing of
   *     keys and values at the end
   * @throws io.github.lightning4j.kvquant.PageBudgetException if there are too few pages
   */
  public double prefillSeconds(int sequences, int tokens, int chunk) {
    checkArgument(sequences >= 1, "sequences: expected >= 1, got %s", sequences);
    checkArgument(tokens >= 1, "tokens: expected >= 1, got %s", tokens);
    checkArgument(chunk >= 1, "chunk: expected >= 1, got %s", chunk);
    int share = Math.max(1, chunk / sequences);
    List<SequenceState> states = new ArrayList<>();
    List<int[]> ids = new ArrayList<>();
    List<float[]> logits = new ArrayList<>();
    Random random = new Random(SEED);
    try {
      for (int i = 0; i < sequences; i++) {
        SequenceState state = new SequenceState(engine.newMemory(plan));
        states.add(state);
        state.memory().reserve(tokens);
        ids.add(random.ints(tokens, 0, config.vocabSize()).toArray());
        logits.add(new float[config.vocabSize()]);
      }
      long start = System.nanoTime();
      states.forEach(state -> state.beginPrompt(false));
      for (int from = 0; from < tokens; from += share) {
        TokenBatch batch = new TokenBatch();
        for (int i = 0; i < sequences; i++) {
          int[] part = Arrays.copyOfRange(ids.get(i), from, Math.min(tokens, from + share));
          batch.add(states.get(i), part, null);
        }
        engine.lastLogits(batch, ForwardObserver.NONE, logits);
      }
      states.forEach(SequenceState::endPrompt);
      engine.finish();
      return (System.nanoTime() - start) * 1e-9;
    } finally {
      states.forEach(SequenceState::close);
    }
  }

  /**
   * Writes greedily behind contexts that were not read: their keys and values are zeros, which cost
   * what others cost.
   *
   * @param sequences written together
   * @param context tokens of each before the first
   * @param steps that count
   * @return seconds a step, as the GPU tells the time
   * @throws io.github.lightning4j.kvquant.PageBudgetException if there are too few pages
   */
  public double decodeSeconds(int sequences, long context, int steps) {
    checkArgument(sequences >= 1, "sequences: expected >= 1, got %s", sequences);
    checkArgument(context >= 0, "context: expected >= 0, got %s", context);
    checkArgument(steps >= 1, "steps: expected >= 1, got %s", steps);
    List<SequenceState> states = new ArrayList<>();
    Random random = new Random(SEED);
    TokenBatch batch = new TokenBatch();
    try {
      for (int i = 0; i < sequences; i++) {
        SequenceState state = new SequenceState(engine.newMemory(plan));
        states.add(state);
        engine.skip(state, context);
        state.memory().reserve(context + DeviceEngine.freeRunTokens(steps));
        batch.add(state, random.ints(1, 0, config.vocabSize()).toArray(), null);
      }
      return engine.freeRun(batch, steps) * 1e-3 / steps;
    } finally {
      states.forEach(SequenceState::close);
    }
  }

  /** Frees the memory of the GPU. */
  @Override
  public void close() {
    engine.close();
  }
}
