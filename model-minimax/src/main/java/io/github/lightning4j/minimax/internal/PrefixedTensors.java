package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.TensorInfo;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** The tensors of a checkpoint whose names begin alike, under the rest of their names. */
public final class PrefixedTensors implements Safetensors {
  private final Safetensors source;
  private final String prefix;
  private final Set<String> names = new LinkedHashSet<>();

  /** A view that does not own what it views. */
  public PrefixedTensors(Safetensors source, String prefix) {
    this.source = source;
    this.prefix = prefix;
    for (String name : source.names()) {
      if (name.startsWith(prefix)) {
        names.add(name.substring(prefix.length()));
      }
    }
  }

  @Override
  public Path path() {
    return source.path();
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(names);
  }

  @Override
  public TensorInfo info(String name) {
    return source.info(prefix + name);
  }

  @Override
  public Tensor tensor(String name) {
    return source.tensor(prefix + name);
  }

  @Override
  public void release(String name) {
    source.release(prefix + name);
  }

  @Override
  public Map<String, String> metadata() {
    return source.metadata();
  }

  /** Closes nothing: the checkpoint is its owner's. */
  @Override
  public void close() {}
}
