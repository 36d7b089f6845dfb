package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.moe.comm.Communicator;
import java.util.Optional;

/**
 * How a model is loaded and run.
 *
 * @param device where its layers run: the CPU, or a GPU, to which all weights are copied
 * @param backend the implementation of every operator of the CPU; empty: what each chooses on this
 *     machine
 * @param chosenFormat how sessions hold keys and values, unless told otherwise; empty: F32, on a
 *     GPU BF16
 * @param cacheBudget what the pages of all caches count against; without limit by default. A GPU
 *     takes its pages at once, half of the memory that is left where there is no limit, and does
 *     not count them. A step that it has no room for is refused as a whole. Caches of others that
 *     count against it too may take what a step was promised, which breaks its session
 * @param checkWeights whether every weight, and every scale of quantized ones, is read and refused
 *     if it is NaN or infinite
 * @param prefillChunk tokens a prefill handles at once; bounds scratch memory; does not change
 *     results beyond rounding, except of {@code rotatekv}, whose sinks are found in the first chunk
 * @param weights how the weights are held; quantized ones are made while loading, tensor by tensor
 * @param placement where weights lie that are held as they are stored
 * @param ranks who shares the experts of each layer out, each with a GPU; empty: all experts are
 *     here
 * @param progress told how far loading has come
 */
public record LoadOptions(
    Device device,
    Optional<Backend> backend,
    Optional<KvCacheFormat> chosenFormat,
    PageBudget cacheBudget,
    boolean checkWeights,
    int prefillChunk,
    WeightFormats weights,
    WeightPlacement placement,
    Optional<Communicator> ranks,
    ProgressListener progress) {
  /**
   * The CPU's best operators, no format chosen, unchecked weights as stored, chunks of 512, silent.
   */
  public static final LoadOptions DEFAULT =
      new LoadOptions(
          Device.CPU,
          Optional.empty(),
          Optional.empty(),
          PageBudget.unlimited(),
          false,
          512,
          WeightFormats.STORED,
          WeightPlacement.AUTO,
          Optional.empty(),
          ProgressListener.NONE);

  /** Checks ranges. */
  public LoadOptions {
    checkArgument(prefillChunk >= 1, "prefillChunk: expected >= 1, got %s", prefillChunk);
    checkArgument(
        device.kind() == Device.Kind.CPU || backend.isEmpty(),
        "backend: only the CPU has several, expected none for %s",
        device);
    checkArgument(
        device.kind() == Device.Kind.CUDA || ranks.isEmpty(),
        "ranks: experts are shared out over GPUs only, expected none for %s",
        device);
  }

  /** How sessions hold keys and values, unless told otherwise. */
  public KvCacheFormat cacheFormat() {
    return chosenFormat.orElse(
        device.kind() == Device.Kind.CUDA ? KvCacheFormat.exact(DType.BF16) : KvCacheFormat.F32);
  }

  /**
   * Another device. Caches hold BF16 there where no format was chosen.
   *
   * @throws IllegalArgumentException if a backend of the CPU is forced
   */
  public LoadOptions withDevice(Device where) {
    return new LoadOptions(
        where,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        ranks,
        progress);
  }

  /** All operators of one backend. */
  public LoadOptions withBackend(Backend forced) {
    return new LoadOptions(
        device,
        Optional.of(forced),
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        ranks,
        progress);
  }

  /** Another element type for key-value caches. */
  public LoadOptions withCacheType(DType type) {
    return withCacheFormat(KvCacheFormat.exact(type));
  }

  /** Another format for key-value caches. */
  public LoadOptions withCacheFormat(KvCacheFormat format) {
    return new LoadOptions(
        device,
        backend,
        Optional.of(format),
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        ranks,
        progress);
  }

  /** A limit for the key-value pages of all sessions together. */
  public LoadOptions withCacheBudget(PageBudget budget) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        budget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        ranks,
        progress);
  }

  /** Whether to read every weight and refuse NaN and infinity. */
  public LoadOptions withCheckWeights(boolean check) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        check,
        prefillChunk,
        weights,
        placement,
        ranks,
        progress);
  }

  /** Another number of tokens for the chunks of a prefill. */
  public LoadOptions withPrefillChunk(int tokens) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        tokens,
        weights,
        placement,
        ranks,
        progress);
  }

  /** Weights held in other formats. */
  public LoadOptions withWeights(WeightFormats formats) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        formats,
        placement,
        ranks,
        progress);
  }

  /** Weights that are held as they are stored in another place. */
  public LoadOptions withPlacement(WeightPlacement place) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        place,
        ranks,
        progress);
  }

  /**
   * Expert parallelism: each rank holds an even share of the experts of every layer on a GPU of its
   * own, and all else as well. Every rank loads the same checkpoint with the same options, but for
   * the device, and then makes the same calls: sessions, tokens and order of its program are those
   * of all others. What comes out is the same on all ranks, bit for bit.
   *
   * <p>Each step, and loading, checks that ranks agree, and ends with a {@link
   * io.github.lightning4j.moe.comm.RankMismatchException} on all of them where they do not
   * (pictures are not compared); the model is of no use then. A step during which a rank fails ends
   * with a {@link io.github.lightning4j.moe.comm.RankFailedException}; to that end a program that
   * cannot go on calls {@link Communicator#fail}, as {@link
   * io.github.lightning4j.moe.comm.MpiCommunicator#run} does. {@link GenerationQueue}, which
   * depends on time, and {@link PrefixCache}, which depends on the memory of a rank, are refused.
   *
   * <pre>{@code
   * MpiCommunicator.run(ranks -> {
   *   Device gpu = Device.cuda(MpiCommunicator.localRank());
   *   LoadOptions options = LoadOptions.DEFAULT.withDevice(gpu).withRanks(ranks);
   *   try (MiniMaxModel model = MiniMaxModel.load(folder, options)) {
   *     ...
   *   }
   * });
   * }</pre>
   *
   * @param communicator of all who share; stays open longer than the model, which uses it in its
   *     calls
   * @throws IllegalArgumentException if the device is not a GPU: choose it first
   */
  public LoadOptions withRanks(Communicator communicator) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        Optional.of(communicator),
        progress);
  }

  /** Somebody who wants to know how far loading has come. */
  public LoadOptions withProgress(ProgressListener listener) {
    return new LoadOptions(
        device,
        backend,
        chosenFormat,
        cacheBudget,
        checkWeights,
        prefillChunk,
        weights,
        placement,
        ranks,
        listener);
  }
}
