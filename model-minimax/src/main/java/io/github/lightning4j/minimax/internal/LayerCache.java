package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.policy.MassiveActivations;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.transform.KvTransform;
import org.jspecify.annotations.Nullable;

/**
 * The cache of one softmax layer in one sequence: which tokens of a prompt stay in 16 bits, and the
 * basis in which the cache has keys and values.
 *
 * <p>During a prompt nothing is quantized until its sinks are known. They are known once its rows
 * have been {@linkplain #see seen}: at the end of the prompt where its tokens read one another
 * exactly, else before the first of them reads.
 */
final class LayerCache implements AutoCloseable {
  /** Memory for one call, F32. */
  interface Scratch {
    /** Of this shape. */
    Tensor floats(long... shape);
  }

  private final KvCache cache;
  private final CachePlan.Layer plan;
  private long promptStart;
  private boolean staged;
  private boolean exactPrompt;
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
    return around(cache.fork());
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

  /** Looks at the layer's input {@code [T, H]}, of the tokens that are appended next. */
  void see(Tensor hidden) {
    if (greatest != null) {
      greatest.add(hidden, cache.length());
    }
  }

  /** The prompt is complete. */
  void endPrompt() {
    if (staged) {
      cache.endPrompt(greatest == null ? new long[0] : greatest.tokens());
      staged = false;
    }
    if (plan.rounding() != null && exactPrompt) {
      plan.rounding().age(cache, promptStart);
    }
    exactPrompt = false;
    greatest = null;
  }

  /**
   * Appends tokens and attends from them. Keys are as the cache {@linkplain
   * #storesKeysBeforeRotation wants} them; all rows may be changed.
   */
  void attend(
      Gemm gemm,
      CacheAttention attention,
      Scratch scratch,
      Tensor q,
      Tensor k,
      Tensor v,
      float scale,
      Tensor out) {
    DenseBases bases = plan.bases();
    if (bases != null) {
      bases.key(gemm, k, scratch.floats(k.shape()));
      bases.value(gemm, v, scratch.floats(v.shape()));
      bases.query(gemm, q, scratch.floats(q.shape()));
    }
    ChannelRounding rounding = plan.rounding();
    if (rounding != null && !exactPrompt) {
      rounding.attend(cache, attention, q, k, v, scale, out);
    } else {
      cache.append(k, v);
      if (staged && !exactPrompt) {
        endPrompt();
      }
      attention.attend(q, cache, scale, out);
    }
    if (bases != null) {
      bases.out(gemm, out, scratch.floats(out.shape()));
    }
  }

  @Override
  public void close() {
    cache.close();
  }
}
