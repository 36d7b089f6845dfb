package io.github.lightning4j.moe;

import io.github.lightning4j.moe.internal.Scratch;

/**
 * Scratch memory of {@link MixtureOfExperts} and {@link SharedExpert}, kept from call to call: it
 * grows to what the largest batch needed, so that a warm workspace allocates no memory outside the
 * heap. Its size is about {@code T k (H + I)} floats, and for experts with more than 16 tokens
 * those of up to {@code 4096 (H + I)} more; quantized weights add {@code T H + T k I} 16-bit
 * integers.
 *
 * <p>One workspace serves one call at a time: not thread-safe. Its owner closes it.
 */
public final class MoeWorkspace implements AutoCloseable {
  private final DispatchPlan plan = new DispatchPlan();
  private final DispatchPlan sharedPlan = new DispatchPlan();
  private final Scratch scratch = new Scratch();

  /** An empty workspace. */
  public MoeWorkspace() {}

  /**
   * How the last {@link MixtureOfExperts} forward that was given an index dispatched its tokens;
   * the next one changes it. May be built by the caller and given to {@code forward} instead.
   *
   * @throws IllegalStateException if closed
   */
  public DispatchPlan plan() {
    scratch.ensureOpen();
    return plan;
  }

  /** The bytes held outside the heap. */
  public long bytes() {
    return scratch.bytes();
  }

  DispatchPlan sharedPlan() {
    return sharedPlan;
  }

  Scratch scratch() {
    scratch.ensureOpen();
    return scratch;
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    scratch.close();
  }
}
