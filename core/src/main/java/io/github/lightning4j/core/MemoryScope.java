package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkState;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * A parent of tensors and other resources for try-with-resources: closing the scope closes, last
 * opened first, all that was opened through it.
 *
 * <pre>{@code
 * try (MemoryScope scope = new MemoryScope()) {
 *   Tensor x = scope.allocate(DType.F32, 16, 128);
 *   ...
 * }
 * }</pre>
 *
 * <p>Not thread-safe.
 */
public final class MemoryScope implements AutoCloseable {
  private final Deque<AutoCloseable> children = new ArrayDeque<>();
  private boolean closed;

  /** An empty scope. */
  public MemoryScope() {}

  /**
   * Allocates a zeroed tensor that lives as long as this scope.
   *
   * @throws IllegalStateException if the scope is closed
   */
  public Tensor allocate(DType dtype, long... shape) {
    checkState(!closed, "scope is closed");
    return add(Tensor.allocate(dtype, shape));
  }

  /**
   * Hands a resource over to this scope.
   *
   * @return the same resource
   * @throws IllegalStateException if the scope is closed
   */
  public <T extends AutoCloseable> T add(T resource) {
    checkState(!closed, "scope is closed");
    children.push(resource);
    return resource;
  }

  /**
   * Closes everything, even if some of it fails.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "scope is closed already");
    closed = true;
    RuntimeException failure = null;
    for (AutoCloseable child : children) {
      try {
        child.close();
      } catch (Exception e) {
        if (failure == null) {
          failure = e instanceof RuntimeException r ? r : new IllegalStateException(e);
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    children.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
