package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.HostMemory;
import io.github.lightning4j.minimax.internal.QuantizedCacheBytes;
import io.github.lightning4j.minimax.internal.SequenceState;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A session as a safetensors file: {@code layer.i.state} of lightning layers, {@code layer.i.key}
 * and {@code layer.i.value} {@code [T, kvHeads, d]} of softmax layers, or {@code layer.i.cache} of
 * quantized ones as {@link KvCache#save} has it, {@code logits}, and metadata that binds it to the
 * model it was made with.
 */
final class SessionSnapshot {
  private static final String FORMAT = "lightning4j.session.1";

  private SessionSnapshot() {}

  static void write(Session session, SequenceState sequence, Path file) {
    MiniMaxConfig config = session.model().config();
    HostMemory state = host(sequence);
    checkWritable(state.format());
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (int i = 0; i < config.layers().size(); i++) {
        if (config.layers().get(i) == LayerKind.LIGHTNING) {
          tensors.put("layer." + i + ".state", state.lightning(i));
        } else if (state.format().policy().isPresent()) {
          tensors.put("layer." + i + ".cache", QuantizedCacheBytes.of(state.cache(i), scope));
        } else {
          KvCache cache = state.cache(i);
          Tensor key = scope.allocate(DType.F32, cache.length(), cache.kvHeads(), cache.headDim());
          Tensor value = scope.allocate(DType.F32, key.shape());
          cache.read(key, value);
          tensors.put("layer." + i + ".key", key);
          tensors.put("layer." + i + ".value", value);
        }
      }
      tensors.put("logits", scope.add(Tensor.of(session.logits(), session.logits().length)));
      Map<String, String> metadata =
          Map.of(
              "format", FORMAT,
              "model", session.model().fingerprint(),
              "cache", kind(state),
              "position", Long.toString(sequence.position()));
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  private static HostMemory host(SequenceState state) {
    checkState(
        state.memory() instanceof HostMemory,
        "a snapshot holds sessions on the CPU; keep the tokens and read them again, or fork");
    return (HostMemory) state.memory();
  }

  private static void checkWritable(KvCacheFormat format) {
    checkState(
        format.classes().isEmpty(),
        "a snapshot does not hold caches by class (%s); keep the tokens and read them again, fork,"
            + " or use another format",
        format.name());
  }

  /** Exact caches are restored into exact ones of any type. */
  private static String kind(HostMemory state) {
    checkWritable(state.format());
    return state.format().policy().isPresent() ? state.format().name() : "exact";
  }

  static Session read(MiniMaxModel model, Path file) {
    try (SafetensorsFile source = SafetensorsFile.open(file)) {
      expect(file, source, "format", FORMAT);
      expect(file, source, "model", model.fingerprint());
      SequenceState state = model.emptyState(model.options().cacheFormat());
      try {
        expect(file, source, "cache", kind(host(state)));
        state.advance(fill(model, file, source, host(state)));
        float[] logits = tensor(file, source, "logits", model.config().vocabSize()).toFloats();
        return new Session(model, state, logits);
      } catch (RuntimeException | Error e) {
        state.close();
        throw e;
      }
    }
  }

  /** How many tokens the sequence has read. */
  private static long fill(
      MiniMaxModel model, Path file, SafetensorsFile source, HostMemory state) {
    MiniMaxConfig config = model.config();
    long position = position(file, source, config.maxPositions());
    var attention = config.attention();
    for (int i = 0; i < config.layers().size(); i++) {
      if (config.layers().get(i) == LayerKind.LIGHTNING) {
        Tensor to = state.lightning(i);
        to.copyFrom(tensor(file, source, "layer." + i + ".state", to.shape()));
      } else if (state.format().policy().isPresent()) {
        Tensor bytes = tensor(file, source, "layer." + i + ".cache");
        KvCacheConfig layer = state.cache(i).config();
        state.replace(i, QuantizedCacheBytes.load(file, bytes, position, layer, state.budget()));
      } else if (position > 0) {
        long[] shape = {position, attention.kvHeads(), attention.headDim()};
        state
            .cache(i)
            .append(
                tensor(file, source, "layer." + i + ".key", shape),
                tensor(file, source, "layer." + i + ".value", shape));
      }
    }
    return position;
  }

  private static void expect(Path file, SafetensorsFile source, String key, String expected) {
    String got = source.metadata().getOrDefault(key, "nothing");
    if (!got.equals(expected)) {
      throw new CheckpointException(
          file, "snapshot of another kind: " + key + " expected " + expected + ", got " + got);
    }
  }

  private static long position(Path file, SafetensorsFile source, long limit) {
    String text = source.metadata().getOrDefault("position", "nothing");
    try {
      long position = Long.parseLong(text);
      if (position >= 0 && position <= limit) {
        return position;
      }
    } catch (NumberFormatException e) {
      // told below, like a number out of range
    }
    throw new CheckpointException(
        file, "position: expected a number from 0 to " + limit + ", got " + text);
  }

  private static Tensor tensor(Path file, SafetensorsFile source, String name) {
    if (!source.names().contains(name)) {
      throw new CheckpointException(file, "missing tensor " + name);
    }
    return source.tensor(name);
  }

  private static Tensor tensor(Path file, SafetensorsFile source, String name, long... shape) {
    Tensor tensor = tensor(file, source, name);
    if (tensor.dtype() != DType.F32 || !Arrays.equals(tensor.shape(), shape)) {
      throw new CheckpointException(
          file, name + ": expected F32" + Arrays.toString(shape) + ", got " + tensor);
    }
    return tensor;
  }
}
