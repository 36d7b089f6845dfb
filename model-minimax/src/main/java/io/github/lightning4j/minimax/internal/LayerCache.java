package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.policy.MassiveActivations;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
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
  /**
   * What a call works with.
   *
   * @param scratch F32, flat, as large as the queries; null unless the cache {@linkplain
   *     #changesBasis changes the basis}
   * @param scale factor of the scores
   */
  record Call(Operators operators, @Nullable Tensor scratch, float scale) {}

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

  /** Whether rows go through dense pairs on their way. */
  boolean changesBasis() {
    return plan.bases() != null;
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
  void attend(Call call, Tensor q, Tensor k, Tensor v, Tensor out) {
    attend(cache, call, q, k, v, out);
  }

  /** As {@link #attend}, but the cache stays as it is. Not while a prompt is read. */
  void attendGuess(Call call, Tensor q, Tensor k, Tensor v, Tensor out) {
    try (KvCache guessed = cache.fork()) {
      attend(guessed, call, q, k, v, out);
    }
  }

  private void attend(KvCache to, Call call, Tensor q, Tensor k, Tensor v, Tensor out) {
    Operators operators = call.operators();
    DenseBases bases = plan.bases();
    if (bases != null) {
      bases.keyAndValue(operators.gemm(), k, v, call.scratch());
      bases.query(operators.gemm(), q, call.scratch());
    }
    ChannelRounding rounding = plan.rounding();
    if (rounding != null && !exactPrompt) {
      rounding.attend(to, operators.softmax(), q, k, v, call.scale(), out);
    } else {
      to.append(k, v);
      if (staged && !exactPrompt) {
        endPrompt();
      }
      operators.softmax().attend(q, to, call.scale(), out);
    }
    if (bases != null) {
      bases.out(operators.gemm(), out, call.scratch());
    }
  }

  /** Appends tokens that have attended as a guess; as {@link #attend}. */
  void append(Gemm gemm, Tensor scratch, Tensor k, Tensor v) {
    if (plan.bases() != null) {
      plan.bases().keyAndValue(gemm, k, v, scratch);
    }
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
