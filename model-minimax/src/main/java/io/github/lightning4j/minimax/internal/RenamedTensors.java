package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.TensorInfo;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** Tensors of a checkpoint under other names; a view that does not own what it views. */
public final class RenamedTensors implements Safetensors {
  private final Safetensors source;
  private final Map<String, String> stored = new LinkedHashMap<>();

  private RenamedTensors(Safetensors source) {
    this.source = source;
  }

  /** Those whose names begin alike, under the rest of their names. */
  public static RenamedTensors behind(Safetensors source, String prefix) {
    return of(
        source,
        name ->
            name.startsWith(prefix)
                ? Optional.of(name.substring(prefix.length()))
                : Optional.empty());
  }

  /**
   * Those that a function has a name for.
   *
   * @throws CheckpointException if two would have one name
   */
  public static RenamedTensors of(Safetensors source, Function<String, Optional<String>> name) {
    RenamedTensors view = new RenamedTensors(source);
    for (String old : source.names()) {
      name.apply(old).ifPresent(now -> view.put(now, old));
    }
    return view;
  }

  private void put(String now, String old) {
    String other = stored.put(now, old);
    if (other != null) {
      throw new CheckpointException(
          source.path(), "tensors " + other + " and " + old + " are both " + now);
    }
  }

  private String storedAs(String name) {
    return stored.getOrDefault(name, name);
  }

  @Override
  public Path path() {
    return source.path();
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(stored.keySet());
  }

  @Override
  public TensorInfo info(String name) {
    return source.info(storedAs(name));
  }

  @Override
  public Tensor tensor(String name) {
    return source.tensor(storedAs(name));
  }

  @Override
  public void release(String name) {
    source.release(storedAs(name));
  }

  @Override
  public Map<String, String> metadata() {
    return source.metadata();
  }

  /** Closes nothing: the checkpoint is its owner's. */
  @Override
  public void close() {}
}
