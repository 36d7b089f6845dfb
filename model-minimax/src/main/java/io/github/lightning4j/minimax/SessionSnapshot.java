package io.github.lightning4j.minimax;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.SnapshotTensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A session as a safetensors file: what its layers remember, {@code logits}, and metadata that
 * binds it to the model it was made with.
 */
final class SessionSnapshot {
  private static final String FORMAT = "lightning4j.session.1";

  private SessionSnapshot() {}

  static void write(Session session, SequenceState sequence, Path file) {
    String kind = sequence.memory().snapshotKind();
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>(sequence.memory().save(scope));
      tensors.put("logits", scope.add(Tensor.of(session.logits(), session.logits().length)));
      Map<String, String> metadata =
          Map.of(
              "format",
              FORMAT,
              "model",
              session.model().fingerprint(),
              "cache",
              kind,
              "position",
              Long.toString(sequence.position()));
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  static Session read(MiniMaxModel model, Path file) {
    try (SafetensorsFile source = SafetensorsFile.open(file)) {
      expect(file, source, "format", FORMAT);
      expect(file, source, "model", model.fingerprint());
      SequenceState state = model.emptyState(model.options().cacheFormat());
      try {
        expect(file, source, "cache", state.memory().snapshotKind());
        SnapshotTensors tensors = new SnapshotTensors(file, source);
        long position = position(file, source, model.config().maxPositions());
        state.memory().load(tensors, position);
        state.advance(position);
        float[] logits = tensors.floats("logits", model.config().vocabSize()).toFloats();
        return new Session(model, state, logits);
      } catch (RuntimeException | Error e) {
        state.close();
        throw e;
      }
    }
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
}
