package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.policy.MassiveActivations;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.kvquant.transform.KvTransform;
import org.jspecify.annotations.Nullable;

/**
 * The cache of one softmax layer in one sequence, and which tokens of a prompt stay in 16 bits.
 *
 * <p>During a prompt nothing is quantized until its sinks are known. They are known once its rows
 * have been {@linkplain #see seen}: at the end of the prompt where its tokens read one another
 * exactly, else before the first of them reads.
 */
final class LayerCache implements AutoCloseable {
  private final KvCache cache;
  private final CachePlan.Layer plan;
  private long promptStart;
  private boolean staged;
  private boolean exactPrompt;
  private boolean shared; // a page not full may have another holder
  private @Nullable MassiveActivations greatest;

  LayerCache(KvCache cache, CachePlan.Layer plan) {
    this.cache = cache;
    this.plan = plan;
  }

  /** Another cache in the place of this. */
  LayerCache around(KvCache other) {
    return new LayerCache(other, plan);
  }

  /** A copy that goes its own way; not while a prompt is read. */
  LayerCache fork() {
    LayerCache copy = around(cache.fork());
    copy.shared = true;
    shared = true;
    return copy;
  }

  KvCache cache() {
    return cache;
  }

  /** Whether keys are stored before the rotary embedding. */
  boolean storesKeysBeforeRotation() {
    return cache.config().transform() instanceof KvTransform.PreRopeGrouped;
  }

  /**
   * A prompt begins.
   *
   * @param asQuantized whether its tokens read one another as quantized, whatever the policy says
   */
  void beginPrompt(boolean asQuantized) {
    promptStart = cache.length();
    if (plan.rounding() != null) {
      exactPrompt = !asQuantized;
    }
    if (cache.config().format() == null) {
      return;
    }
    TokenPolicy tokens = cache.config().tokens();
    boolean first = promptStart == 0;
    exactPrompt = !asQuantized && !tokens.quantizedPrefill();
    if (first && tokens.massiveActivations() > 0) {
      greatest = new MassiveActivations(tokens.massiveActivations());
    }
    if (exactPrompt || greatest != null) {
      cache.beginPrompt();
      staged = true;
    }
  }

  /**
   * Looks at the layer's input {@code [T, H]}, of the tokens that are appended next.
   *
   * @throws NonFiniteInputException naming layer and token, if a sink is looked for among NaN or
   *     infinities
   */
  void see(Tensor hidden) {
    if (greatest == null) {
      return;
    }
    try {
      greatest.add(hidden, cache.length());
    } catch (NonFiniteInputException e) {
      int unknown = NonFiniteInputException.UNKNOWN;
      throw e.at(e.what(), cache.config().layer(), unknown, unknown);
    }
  }

  /** The prompt is complete. */
  void endPrompt() {
    if (staged) {
      cache.endPrompt(greatest == null ? new long[0] : greatest.tokens());
      staged = false;
      if (exactPrompt) { // its tokens have attended
        cache.trim();
      }
    }
    if (plan.rounding() != null && exactPrompt) {
      plan.rounding().age(cache, promptStart);
    }
    exactPrompt = false;
    greatest = null;
  }

  /**
   * Appends tokens and attends from them. Keys are as the cache {@linkplain
   * #storesKeysBeforeRotation wants} them.
   *
   * @param scale factor of the scores
   */
  void attend(CacheAttention attention, Tensor q, Tensor k, Tensor v, float scale, Tensor out) {
    attend(cache, attention, q, k, v, scale, out);
  }

  /** As {@link #attend}, but the cache stays as it is. Not while a prompt is read. */
  void attendGuess(
      CacheAttention attention, Tensor q, Tensor k, Tensor v, float scale, Tensor out) {
    try (KvCache guessed = cache.fork()) {
      attend(guessed, attention, q, k, v, scale, out);
    }
  }

  private void attend(
      KvCache to, CacheAttention attention, Tensor q, Tensor k, Tensor v, float scale, Tensor out) {
    ChannelRounding rounding = plan.rounding();
    if (rounding != null && !exactPrompt) {
      rounding.attend(to, attention, q, k, v, scale, out);
    } else {
      to.append(k, v);
      if (staged && !exactPrompt) {
        endPrompt();
      }
      attention.attend(q, to, scale, out);
    }
  }

  /** Appends tokens that have attended as a guess; as {@link #attend}. */
  void append(Tensor k, Tensor v) {
    long before = cache.length();
    cache.append(k, v);
    if (plan.rounding() != null) {
      plan.rounding().age(cache, before);
    }
  }

  /** Bytes of full pages that no later token changes. */
  long lastingBytes() {
    return plan.lastingBytes(cache.length());
  }

  /**
   * Bytes of new pages that more tokens may take, at most, with the end of their prompt.
   *
   * @param guess whether they attend as a guess before they are appended
   */
  long bytesNeeded(long tokens, boolean guess) {
    long length = cache.length();
    return plan.bytesNeeded(
        length, staged || exactPrompt ? promptStart : length, length + tokens, shared || guess);
  }

  @Override
  public void close() {
    cache.close();
  }
}
