package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.policy.MassiveActivations;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.kvquant.transform.KvTransform;
import org.jspecify.annotations.Nullable;

/** A cache whose tokens are all of one kind but for sinks and the recent ones. */
final class KvLayerCache implements LayerCache {
  private final KvCache cache;
  private final CachePlan.KvLayer plan;
  private long promptStart;
  private boolean staged;
  private boolean exactPrompt;
  private boolean shared; // a page not full may have another holder
  private @Nullable MassiveActivations greatest;

  KvLayerCache(KvCache cache, CachePlan.KvLayer plan) {
    this.cache = cache;
    this.plan = plan;
  }

  /** Another cache in the place of this. */
  KvLayerCache around(KvCache other) {
    return new KvLayerCache(other, plan);
  }

  @Override
  public LayerCache fork() {
    KvLayerCache copy = around(cache.fork());
    copy.shared = true;
    shared = true;
    return copy;
  }

  KvCache cache() {
    return cache;
  }

  @Override
  public boolean storesKeysBeforeRotation() {
    return cache.config().transform() instanceof KvTransform.PreRopeGrouped;
  }

  @Override
  public void beginPrompt(boolean asQuantized) {
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

  @Override
  public void see(Tensor hidden) {
    if (greatest == null) {
      return;
    }
    try {
      greatest.add(hidden, cache.length());
    } catch (NonFiniteInputException e) {
      throw LayerCache.inLayer(cache.config().layer(), e);
    }
  }

  @Override
  public void endPrompt() {
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

  @Override
  public void attend(Operators operators, Step step) {
    attend(cache, operators.softmax(), step);
  }

  @Override
  public void attendGuess(Operators operators, Step step) {
    try (KvCache guessed = cache.fork()) {
      attend(guessed, operators.softmax(), step);
    }
  }

  private void attend(KvCache to, CacheAttention attention, Step step) {
    ChannelRounding rounding = plan.rounding();
    if (rounding != null && !exactPrompt) {
      rounding.attend(to, attention, step.q(), step.k(), step.v(), step.scale(), step.out());
    } else {
      to.append(step.k(), step.v());
      if (staged && !exactPrompt) {
        endPrompt();
      }
      attention.attend(step.q(), to, step.scale(), step.out());
    }
  }

  @Override
  public void append(Tensor k, Tensor v) {
    long before = cache.length();
    cache.append(k, v);
    if (plan.rounding() != null) {
      plan.rounding().age(cache, before);
    }
  }

  @Override
  public long elements() {
    return 2L * cache.kvHeads() * cache.headDim();
  }

  @Override
  public long bytes() {
    return cache.bytes();
  }

  @Override
  public double packedBytesPerToken() {
    return cache.bytesPerToken();
  }

  @Override
  public long storedBytes() {
    return cache.storedBytes();
  }

  @Override
  public long lastingBytes() {
    return plan.lastingBytes(cache.length());
  }

  @Override
  public long bytesNeeded(long tokens, boolean guess) {
    long length = cache.length();
    return plan.bytesNeeded(
        length, staged || exactPrompt ? promptStart : length, length + tokens, shared || guess);
  }

  @Override
  public void close() {
    cache.close();
  }
}
