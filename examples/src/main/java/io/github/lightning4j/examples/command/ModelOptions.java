package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.LoadOptions;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.WeightFormat;
import io.github.lightning4j.minimax.WeightFormats;
import io.github.lightning4j.minimax.WeightPlacement;
import io.github.lightning4j.moe.comm.Communicator;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which model, and how it runs. */
final class ModelOptions {
  /** Bytes of weights from which on loading takes long enough for a bar. */
  private static final long LONG_LOAD = 256L << 20;

  /** Tokens from which on reading weights from large pages gains what copying them there costs. */
  private static final int WORTH_A_COPY = 1000;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Checkpoint folder. Without it: the embedded minimax-nano.")
  private @Nullable Path folder;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads to compute with. Without it: one a processor.")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--weights",
      paramLabel = "FORMATS",
      description =
          "How to hold the weights: bf16, int8 or int4, for all roles or for single ones, as in"
              + " int4,head=int8,embedding=bf16; roles are experts, attention, head, embedding."
              + " Without it: as they are stored.")
  private Optional<String> weights = Optional.empty();

  @Option(
      names = "--mapped",
      description =
          "Leave weights in the mapped file, also where there is memory to copy them to large"
              + " pages: loads at once, decodes slower. So does generate for fewer than 1000"
              + " tokens.")
  private boolean mapped;

  @Option(
      names = "--prefill-chunk",
      paramLabel = "N",
      description = "Tokens of a prompt to read at once; bounds scratch memory.")
  private Optional<Integer> prefillChunk = Optional.empty();

  @Option(
      names = "--check-weights",
      description = "Read all weights and scales first and refuse NaN and infinity.")
  private boolean checkWeights;

  private Device device = Device.CPU;

  private Optional<Communicator> ranks = Optional.empty();

  /** Runs the model on a device, instead of the CPU. */
  ModelOptions on(Device where) {
    device = where;
    return this;
  }

  /** Shares the model out over ranks. */
  ModelOptions among(Communicator others) {
    ranks = Optional.of(others);
    return this;
  }

  /** Where the model runs. */
  Device device() {
    return device;
  }

  /** The one format that all weights are asked for in; int8 if none is. */
  WeightFormat format() {
    return WeightFormat.parse(weights.orElse("int8"));
  }

  /** Tokens of a prompt that are read at once. */
  int chunk() {
    return prefillChunk.orElse(LoadOptions.DEFAULT.prefillChunk());
  }

  /** Says how many tokens will be generated; for few the weights stay where they are. */
  void expect(int tokens) {
    mapped |= tokens < WORTH_A_COPY;
  }

  /** Where weights are to lie; those of a GPU are copied there from the file. */
  WeightPlacement placement() {
    return mapped || device.kind() == Device.Kind.CUDA
        ? WeightPlacement.MAPPED
        : WeightPlacement.AUTO;
  }

  /** Whether the embedded model is meant. */
  boolean isEmbedded() {
    return folder == null;
  }

  /** The checkpoint folder. */
  Path folder(Console console) {
    return folder == null ? EmbeddedModel.ofThisProgram(console.err()).folder() : folder;
  }

  /** Loads the model; the caller closes it. */
  MiniMaxModel load(Console console) {
    return load(folder(console), console);
  }

  /** As {@link #load(Console)}, with key-value caches of a format. */
  MiniMaxModel load(Console console, KvCacheFormat caches) {
    return load(folder(console), console, caches);
  }

  /** Loads the model of a folder; the caller closes it. */
  MiniMaxModel load(Path from, Console console) {
    return load(from, console, KvCacheFormat.F32);
  }

  /** As {@link #load(Path, Console)}, with key-value caches of a format. */
  MiniMaxModel load(Path from, Console console, KvCacheFormat caches) {
    return load(from, console, caches, PageBudget.unlimited());
  }

  /** The same, with caches that take so many bytes together. */
  MiniMaxModel load(Path from, Console console, KvCacheFormat caches, PageBudget budget) {
    threads.ifPresent(Threads::use);
    boolean shown = console.terminal() && storedBytes(from) > LONG_LOAD;
    try (ProgressLine bar = new ProgressLine("Loading the model", shown)) {
      LoadOptions options =
          LoadOptions.DEFAULT
              .withCheckWeights(checkWeights)
              .withWeights(weights.map(WeightFormats::parse).orElse(WeightFormats.STORED))
              .withPlacement(placement())
              .withPrefillChunk(chunk())
              .withCacheFormat(caches)
              .withDevice(device)
              .withCacheBudget(budget)
              .withProgress(bar);
      return MiniMaxModel.load(from, ranks.map(options::withRanks).orElse(options));
    }
  }

  /** Bytes of all safetensors files of a folder; 0 where loading will tell what is wrong. */
  private static long storedBytes(Path folder) {
    long bytes = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.safetensors")) {
      for (Path file : files) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException | DirectoryIteratorException e) {
      return 0;
    }
  }
}
