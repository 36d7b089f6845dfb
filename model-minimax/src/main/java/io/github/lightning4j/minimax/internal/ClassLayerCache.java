package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.vlmquant.PivotDetector;
import io.github.lightning4j.vlmquant.VlmCache;
import org.jspecify.annotations.Nullable;

/** A cache that knows which tokens are pictures; each prompt has pivots of its own. */
final class ClassLayerCache implements LayerCache {
  private final VlmCache cache;
  private boolean staged;
  private boolean exactPrompt;
  private boolean shared; // a page not full may have another holder
  private @Nullable PivotDetector pivots;

  ClassLayerCache(VlmCache cache) {
    this.cache = cache;
  }

  VlmCache cache() {
    return cache;
  }

  @Override
  public LayerCache fork() {
    ClassLayerCache copy = new ClassLayerCache(cache.fork());
    copy.shared = true;
    shared = true;
    return copy;
  }

  @Override
  public boolean storesKeysBeforeRotation() {
    return false;
  }

  @Override
  public void beginPrompt(boolean asQuantized) {
    exactPrompt = !asQuantized;
    if (cache.config().pivots() > 0) {
      pivots = new PivotDetector(cache.config().pivots());
    }
    if (exactPrompt || pivots != null) {
      cache.beginPrompt();
      staged = true;
    }
  }

  @Override
  public void see(Tensor hidden) {
    if (pivots == null) {
      return;
    }
    try {
      pivots.add(hidden, cache.length());
    } catch (NonFiniteInputException e) {
      throw LayerCache.inLayer(cache.config().layer(), e);
    }
  }

  private long[] found() {
    return pivots == null ? new long[0] : pivots.pivots();
  }

  @Override
  public void endPrompt() {
    if (staged) {
      cache.endPrompt(found());
      staged = false;
    }
    pivots = null;
  }

  @Override
  public void attend(Operators operators, Step step) {
    attend(cache, operators, step);
  }

  @Override
  public void attendGuess(Operators operators, Step step) {
    try (VlmCache guessed = cache.fork()) {
      attend(guessed, operators, step);
    }
  }

  private void attend(VlmCache to, Operators operators, Step step) {
    if (step.classes() == null) {
      to.append(step.k(), step.v());
    } else {
      to.append(step.k(), step.v(), step.classes());
    }
    if (staged && !exactPrompt) {
      cache.settlePrompt(found());
      staged = false;
      pivots = null;
    }
    operators.byClass().attend(step.q(), to, step.scale(), step.out());
  }

  @Override
  public void append(Tensor k, Tensor v) {
    cache.append(k, v);
  }

  @Override
  public long elements() {
    return cache.config().elements();
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
    return cache.account().storedBytes();
  }

  @Override
  public long lastingBytes() {
    return cache.lastingBytes();
  }

  @Override
  public long bytesNeeded(long tokens, boolean guess) {
    return cache.bytesNeeded(tokens, shared || guess);
  }

  @Override
  public long bytesKept(long tokens, boolean guess) {
    return cache.bytesKept(tokens, shared || guess);
  }

  @Override
  public void close() {
    cache.close();
  }
}
