package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.policy.TokenAgeing.Leaving;
import io.github.lightning4j.kvquant.transform.Hadamard;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The keys and values of one sequence in one softmax layer of a vision-language model, each token
 * with the bits of its class.
 *
 * <p>Every class has a store of its own, in which its tokens lie in the order of their positions.
 * New tokens are {@linkplain TokenClass#RECENT recent}; the one that is no longer among the last
 * {@link VlmPolicy#recentWindow} goes, once and for good, to the store of what it is: a pivot, text
 * or visual. Heads are rotated by a Hadamard matrix before they are stored, and the last step of
 * {@link VlmAttention} takes that back.
 *
 * <p>A query reads the tokens less than a window before it exactly and all older ones as their
 * class has them, however the sequence was cut into calls, if the queries of an append attend
 * before the next one: a token that has left the window is not read exactly again. Between {@link
 * #beginPrompt} and {@link #endPrompt} nothing is quantized, since the pivots are not known.
 * endPrompt lets go of what is quantized then, so queries of a prompt attend before it.
 *
 * <p>A cache is not thread-safe, not even for attention; a cache and its {@linkplain #fork forks},
 * which share pages, may be used on different threads. Every cache and fork is closed by whoever
 * made it. Every method but {@link #config} throws {@link IllegalStateException} after that.
 *
 * <p>Source: AKVQ-VL. Keys come after the rotary embedding, of whatever dimensions, so positions
 * are of no concern here.
 */
public final class VlmCache implements AutoCloseable {
  private final VlmCacheConfig config;
  private final ClassStores stores;
  private final TokenLedger ledger;
  private boolean closed;

  private VlmCache(VlmCacheConfig config, ClassStores stores, TokenLedger ledger) {
    this.config = config;
    this.stores = stores;
    this.ledger = ledger;
  }

  /** An empty cache with no limit but the machine's. */
  public static VlmCache create(VlmCacheConfig config) {
    return create(config, PageBudget.unlimited());
  }

  /** An empty cache whose pages count against a budget. */
  public static VlmCache create(VlmCacheConfig config, PageBudget budget) {
    return new VlmCache(
        config, new ClassStores(config, budget), new TokenLedger(config.policy().recentWindow()));
  }

  /** As {@link #append(Tensor, Tensor, TokenClass[])}; all tokens are text. */
  public void append(Tensor k, Tensor v) {
    appendTokens(k, v, null);
  }

  /**
   * Adds tokens at the end. If it fails, the cache stays as it was.
   *
   * @param k keys {@code [T, kvHeads, headDim]}, F32, turned to their positions by the rotary
   *     embedding; a dense last dimension, other strides free
   * @param v values, as {@code k}
   * @param classes {@code [T]}: TEXT or VISUAL; what is recent or a pivot the cache knows itself
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException if a key or value is
   *     NaN or infinite
   * @throws io.github.lightning4j.kvquant.PageBudgetException if the budget has no room
   * @throws IllegalArgumentException if types, shapes, strides or classes do not fit, or a rotated
   *     element is beyond the range of F16 where recent tokens lie so
   */
  public void append(Tensor k, Tensor v, TokenClass[] classes) {
    appendTokens(k, v, classes);
  }

  private void appendTokens(Tensor k, Tensor v, TokenClass @Nullable [] classes) {
    checkState(!closed, "cache is closed");
    Checks.rank("k", k, 3);
    checkRows("k", k, k.size(0));
    checkRows("v", v, k.size(0));
    if (classes != null) {
      TokenClasses.check(classes, k.size(0));
    }
    long before = ledger.length();
    try (MemoryScope scope = new MemoryScope()) {
      Hadamard hadamard = Hadamard.best();
      Tensor keys = RotatedRows.checked("key", k, config, before, hadamard, scope);
      Tensor values = RotatedRows.checked("value", v, config, before, hadamard, scope);
      step(
          () -> {
            stores.recent().append(keys, values);
            return ledger.append(k.size(0), classes);
          });
    }
    letGo(ledger.border(before));
  }

  /** Does one step of the ledger and settles the tokens that leave; all of it or nothing. */
  private void step(Supplier<Leaving> change) {
    long[] lengths = stores.lengths();
    TokenLedger.Saved saved = ledger.save();
    try {
      Leaving leaving = change.get();
      stores.settle(ledger, leaving.from(), leaving.to());
    } catch (RuntimeException | Error e) {
      ledger.restore(saved);
      stores.restore(lengths);
      throw e;
    }
  }

  private void letGo(long token) {
    ledger.letGo(token);
    stores.letGo(ledger.exactStart());
  }

  /**
   * A prompt begins whose pivots are not known yet: nothing is quantized until {@link #endPrompt}.
   *
   * @throws IllegalStateException if a prompt has begun already
   */
  public void beginPrompt() {
    checkState(!closed, "cache is closed");
    ledger.beginPrompt();
  }

  /**
   * The prompt is complete: all of it but its recent tokens goes to the stores of its classes, and
   * what was exact of them is let go. Queries at positions of the prompt that attend after this
   * read them so.
   *
   * @param pivots tokens that keep the bits of pivots, for instance those of {@link PivotDetector};
   *     those that are quantized already are passed over
   * @throws IllegalArgumentException if a pivot is not in the cache, or there are more than {@link
   *     VlmCacheConfig#pivots}
   * @throws IllegalStateException if no prompt has begun
   * @throws io.github.lightning4j.kvquant.PageBudgetException if there is no room; the prompt goes
   *     on then
   */
  public void endPrompt(long... pivots) {
    settlePrompt(pivots);
    letGo(ledger.left());
  }

  /**
   * As {@link #endPrompt}, for a prompt whose queries attend after it: each reads the tokens less
   * than a window before it exactly, older ones as their class has them, as a step of decoding
   * would. What is exact of the quantized tokens is let go with the next append.
   */
  public void settlePrompt(long... pivots) {
    checkState(!closed, "cache is closed");
    checkArgument(
        pivots.length <= config.pivots(),
        "pivots: expected at most %s in this %s layer, got %s",
        config.pivots(),
        config.pattern(),
        pivots.length);
    step(() -> ledger.endPrompt(pivots));
  }

  /** The number of tokens held. */
  public long length() {
    checkState(!closed, "cache is closed");
    return ledger.length();
  }

  /** A cache of the same tokens that shares their pages and goes its own way from here on. */
  public VlmCache fork() {
    checkState(!closed, "cache is closed");
    return new VlmCache(config, stores.fork(), ledger.fork());
  }

  /**
   * Forgets the tokens from {@code length} on. Those left keep the bits they have.
   *
   * @throws IllegalArgumentException unless {@code 0 <= length <= length()}
   */
  public void truncate(long length) {
    checkArgument(
        length >= 0 && length <= length(), "length: expected 0 to %s, got %s", length(), length);
    stores.truncate(length, ledger.counts(Math.min(length, ledger.left()), ledger.left()));
    ledger.truncate(length);
  }

  /**
   * Copies all tokens out as F32, in the basis they came in, as a query that comes next reads the
   * older ones and as they are held the recent ones. For reports and tests, not for speed.
   *
   * @param outK keys {@code [length, kvHeads, headDim]}, F32; a dense last dimension
   * @param outV values, as {@code outK}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   */
  public void read(Tensor outK, Tensor outV) {
    checkRows("outK", outK, length());
    checkRows("outV", outV, length());
    Checks.writable("outK", outK);
    Checks.writable("outV", outV);
    stores.read(ledger, outK, outV);
  }

  /** The class of a token now; overlaps count as the first class that applies. */
  public TokenClass tokenClass(long token) {
    checkArgument(
        token >= 0 && token < length(), "token: expected 0 <= token < %s, got %s", length(), token);
    return token < ledger.left() ? ledger.settled(token) : TokenClass.RECENT;
  }

  /** What the tokens take, class by class. */
  public VlmAccount account() {
    checkState(!closed, "cache is closed");
    long[] tokens = stores.lengths();
    tokens[TokenClass.RECENT.ordinal()] = ledger.length() - ledger.left();
    return VlmAccount.of(config, tokens, stores.bytes());
  }

  /** Bytes of the pages this cache holds; a page shared with a fork counts for each of them. */
  public long bytes() {
    checkState(!closed, "cache is closed");
    return stores.bytes();
  }

  /**
   * Bytes of new pages that an append may take, at most, with the end of the prompt it belongs to:
   * what must be free before a step that cannot be taken back.
   *
   * @param tokens to append; 0 for the end of a prompt alone
   * @param shared whether pages that are not full may have another holder, a fork, and are copied
   */
  public long bytesNeeded(long tokens, boolean shared) {
    checkState(!closed, "cache is closed");
    checkArgument(tokens >= 0, "tokens: expected >= 0, got %s", tokens);
    boolean prompt = ledger.inPrompt() || tokens > 1 || ledger.length() == 0;
    return stores.bytesNeeded(ledger, tokens, prompt ? config.pivots() : 0, shared);
  }

  /**
   * How much of {@link #bytesNeeded} stays, at most, once the prompt that the tokens belong to has
   * ended: what is left of it in 16 bits has been let go by then.
   */
  public long bytesKept(long tokens, boolean shared) {
    return Math.min(bytesNeeded(tokens, shared), stores.bytesKept(ledger, tokens, config.pivots()));
  }

  /** Bytes of full pages that no later token changes or lets go; forks share them for good. */
  public long lastingBytes() {
    checkState(!closed, "cache is closed");
    return stores.lastingBytes();
  }

  /** Bytes of the packed pages for each token in them; 0 before there is one. */
  public double bytesPerToken() {
    checkState(!closed, "cache is closed");
    return stores.packedBytesPerToken();
  }

  /** What the cache holds in which formats. */
  public VlmCacheConfig config() {
    return config;
  }

  /**
   * Lets go of all pages.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "cache is closed");
    closed = true;
    stores.close();
  }

  ClassStores stores() {
    checkState(!closed, "cache is closed");
    return stores;
  }

  TokenLedger ledger() {
    return ledger;
  }

  private void checkRows(String name, Tensor tensor, long tokens) {
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, tokens, config.kvHeads(), config.headDim());
    Checks.denseLast(name, tensor);
  }
}
