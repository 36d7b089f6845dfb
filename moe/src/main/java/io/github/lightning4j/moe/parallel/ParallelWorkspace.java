package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkState;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Memory of {@link ParallelExperts}, kept from call to call: it grows to what the largest batch
 * needed, about {@code 2 n H} floats for n token-expert pairs sent or received, and what the
 * experts themselves need ({@link io.github.lightning4j.moe.MoeWorkspace}). One serves all layers
 * of a rank, one after the other. Not thread-safe. Its owner closes it.
 */
public final class ParallelWorkspace implements AutoCloseable {
  /** What must stay where it is until the process ends. */
  private static final Queue<Buffers> ABANDONED = new ConcurrentLinkedQueue<>();

  private final Buffers buffers = new Buffers();
  private boolean abandoned;
  private boolean closed;

  /** An empty workspace. */
  public ParallelWorkspace() {}

  /** The bytes held outside the heap. */
  public long bytes() {
    return buffers.bytes();
  }

  Buffers buffers() {
    checkState(!closed, "workspace is closed");
    return buffers;
  }

  /** A call has ended early: transfers may still be under way, so the memory must stay. */
  void abandon() {
    if (!abandoned) {
      abandoned = true;
      ABANDONED.add(buffers);
    }
  }

  /**
   * Frees the memory; after a call that failed it stays until the process ends, as transfers may
   * still be under way.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "workspace is closed already");
    closed = true;
    if (!abandoned) {
      buffers.close();
    }
  }
}
