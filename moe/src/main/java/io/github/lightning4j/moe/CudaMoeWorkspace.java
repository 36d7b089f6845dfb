package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.moe.internal.CudaMoeBuffers;

/**
 * Scratch memory of {@link CudaMixtureOfExperts} for batches of up to T tokens with k choices each:
 * {@code T k (4 H + 2 I)} bytes and a little. All of it is allocated at once, so that calls
 * allocate nothing and can be recorded in a {@link io.github.lightning4j.core.cuda.CudaGraph}.
 *
 * <p>Layers of the same sizes can share one, on one stream: a call overwrites what the one before
 * left. Its owner closes it, after the work that uses it.
 */
public final class CudaMoeWorkspace implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final CudaDevice device;
  private final long tokens;
  private final int k;
  private final int experts;
  private final long hidden;
  private final long intermediate;
  private final CudaMoeBuffers buffers;
  private boolean closed;

  private CudaMoeWorkspace(CudaExpertWeights weights, int experts, long tokens, int k) {
    this.device = weights.device();
    this.tokens = tokens;
    this.k = k;
    this.experts = experts;
    this.hidden = weights.hidden();
    this.intermediate = weights.intermediate();
    try {
      buffers = CudaMoeBuffers.allocate(device, scope, tokens * k, experts, hidden, intermediate);
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /**
   * Memory on the GPU of the weights.
   *
   * @param weights of the sizes E, H and I that will be worked on
   * @param tokens the most tokens of a call, {@code >= 1}
   * @param k the choices of each token, {@code 1 <= k <= E}
   * @throws IllegalArgumentException if a number does not fit
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException with what was asked for and
   *     what is free; nothing is left allocated
   */
  public static CudaMoeWorkspace allocate(CudaExpertWeights weights, long tokens, int k) {
    return allocate(weights, weights.experts(), tokens, k);
  }

  /**
   * The same for {@link CudaMixtureOfExperts#part}, whose weights are of some experts alone. As all
   * tokens may choose these, it takes no less memory.
   *
   * @param weights of the sizes H and I that will be worked on
   * @param experts E, at least those of the weights
   * @param tokens as above
   * @param k as above
   * @throws IllegalArgumentException as above
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException as above
   */
  public static CudaMoeWorkspace allocate(
      CudaExpertWeights weights, int experts, long tokens, int k) {
    checkArgument(
        experts >= weights.experts(),
        "experts: expected >= %s as of the weights, got %s",
        weights.experts(),
        experts);
    checkArgument(k >= 1 && k <= experts, "k: expected 1 <= k <= %s, got %s", experts, k);
    checkArgument(
        tokens >= 1 && tokens <= Integer.MAX_VALUE / k,
        "tokens: expected 1 to %s with k = %s, got %s",
        Integer.MAX_VALUE / k,
        k,
        tokens);
    return new CudaMoeWorkspace(weights, experts, tokens, k);
  }

  /** The most tokens of a call. */
  public long tokens() {
    return tokens;
  }

  /** The choices of each token. */
  public int k() {
    return k;
  }

  /**
   * The experts that the last call chose, as {@link Router} gives them; valid on its stream.
   *
   * @param count the tokens of that call
   * @return I32 {@code [count, k]} on the GPU, a view that ends with this workspace
   */
  public Tensor index(long count) {
    return buffers().index().narrow(0, 0, count * k).reshape(count, k);
  }

  /**
   * The weights of these choices.
   *
   * @param count the tokens of that call
   * @return F32 {@code [count, k]} on the GPU
   */
  public Tensor weight(long count) {
    return buffers().weight().narrow(0, 0, count * k).reshape(count, k);
  }

  /**
   * Where the tokens of each expert begin, I32 {@code [E + 1]} on the GPU: differences are loads.
   */
  public Tensor offsets() {
    return buffers().offsets();
  }

  CudaMoeBuffers buffers() {
    checkState(!closed, "a workspace of %s is closed", device);
    return buffers;
  }

  /** Checks that a batch of a layer fits. */
  void check(CudaExpertWeights weights, int all, long count, int choices) {
    checkArgument(
        weights.device().equals(device)
            && all == experts
            && weights.hidden() == hidden
            && weights.intermediate() == intermediate,
        "workspace: expected one for %s experts of %s x %s on %s, got one for %s of %s x %s on %s",
        all,
        weights.hidden(),
        weights.intermediate(),
        weights.device(),
        experts,
        hidden,
        intermediate,
        device);
    check(device, experts, count, choices);
  }

  /** Checks that it has the routing of such a batch. */
  void check(CudaDevice where, long choosable, long count, int choices) {
    checkArgument(
        where.equals(device) && choosable == experts,
        "workspace: expected one for %s experts on %s, got one for %s on %s",
        choosable,
        where,
        experts,
        device);
    checkArgument(
        count <= tokens && choices == k,
        "workspace: expected room for %s tokens with %s choices, got one for %s with %s;"
            + " allocate a larger one",
        count,
        choices,
        tokens,
        k);
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "a workspace of %s is closed already", device);
    closed = true;
    scope.close();
  }
}
